import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { root as workspace } from "./node.js";

const packagesOf = (file) => JSON.parse(readFileSync(file, "utf8")).packages;

/**
 * Whether `node_modules` is what `package-lock.json` says, and all of it is there: an install that
 * was broken off, an older lock or a deleted folder show. Takes a few milliseconds.
 */
export const isInstalled = (root) => {
  const hidden = join(root, "node_modules/.package-lock.json");
  if (!existsSync(hidden)) return false;
  const wanted = packagesOf(join(root, "package-lock.json"));
  const installed = packagesOf(hidden);
  return Object.entries(wanted).every(([path, { version, integrity, optional }]) => {
    if (!path.startsWith("node_modules/")) return true;
    const found = installed[path];
    // Optional packages of other platforms are in the lock, but not here.
    if (!found) return optional === true;
    return (
      found.version === version &&
      found.integrity === integrity &&
      existsSync(join(root, path, "package.json"))
    );
  });
};

const isAlive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
};

// Two commands started together must not install over each other. The lock is outside
// node_modules, because npm empties that.
const withLock = async (root, work) => {
  const name = createHash("sha256").update(root).digest("hex").slice(0, 16);
  const lock = join(tmpdir(), `lanai-install-${name}.lock`);
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    await sleep(200);
    // Empty for the moment between its creation and its writing.
    const owner = existsSync(lock) ? Number(readFileSync(lock, "utf8")) : 0;
    if (owner > 0 && !isAlive(owner)) rmSync(lock, { force: true });
  }
  try {
    return work();
  } finally {
    rmSync(lock, { force: true });
  }
};

/** Installs what `package-lock.json` names, unless it is there already. */
export const install = async (root = workspace) => {
  if (isInstalled(root)) return;
  await withLock(root, () => {
    if (isInstalled(root)) return;
    console.log("Installing the workspace (npm ci) …");
    // Without dev dependencies (NODE_ENV=production) nothing here would run.
    const { error, status } = spawnSync("npm", ["ci", "--include=dev", "--no-audit", "--no-fund"], {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
    });
    if (error?.code === "ENOENT")
      throw new Error("npm was not found on PATH. Install Node with npm.");
    if (error) throw error;
    if (status !== 0) {
      throw new Error(
        "npm ci failed; npm says why above. The first set-up needs npm's registry: if this machine\n" +
          "is offline or behind a proxy, see `npm config get registry proxy https-proxy`.",
      );
    }
  });
};
