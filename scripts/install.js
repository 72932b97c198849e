import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { root as workspace } from "./node.js";

const packagesOf = (file) => JSON.parse(readFileSync(file, "utf8")).packages;

/** What this machine is, in the words of a package's `os`, `cpu` and `libc`. */
const thisPlatform = () => {
  const { glibcVersionRuntime } = process.report.getReport().header;
  const libc = glibcVersionRuntime === undefined ? "musl" : "glibc";
  return { os: process.platform, cpu: process.arch, libc };
};

/** Whether a package names platforms, and this machine among them. */
const isMadeFor = (platform, described) => {
  const named = ["os", "cpu", "libc"].filter((field) => described[field]);
  return named.length > 0 && named.every((field) => described[field].includes(platform[field]));
};

/**
 * Whether `node_modules` is what `package-lock.json` says, and all of it is there: an install that
 * was broken off, an older lock or a deleted folder show. Takes a few milliseconds.
 */
export const isInstalled = (root, platform = thisPlatform()) => {
  const hidden = join(root, "node_modules/.package-lock.json");
  if (!existsSync(hidden)) return false;
  const wanted = packagesOf(join(root, "package-lock.json"));
  const installed = packagesOf(hidden);
  return Object.entries(wanted).every(([path, described]) => {
    if (!path.startsWith("node_modules/")) return true;
    const found = installed[path];
    // Optional packages of other platforms, and what these alone need, are in the lock but not here.
    if (!found) return described.optional === true && !isMadeFor(platform, described);
    return (
      found.version === described.version &&
      found.integrity === described.integrity &&
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

/** The lock of one folder's install. Each user has their own: one can't remove another's. */
export const lockOf = (root) => {
  const name = createHash("sha256").update(root).digest("hex").slice(0, 16);
  return join(tmpdir(), `lanai-install-${process.getuid?.() ?? "user"}-${name}.lock`);
};

const take = (lock) => {
  try {
    writeFileSync(lock, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  }
};

/** A lock is empty for the moment between its creation and its writing, in milliseconds at most. */
const EMPTY = 10_000;

/** Who has the lock, if it is known and alive; a lock that nobody can have any more is removed. */
const ownerOf = (lock) => {
  try {
    const pid = Number(readFileSync(lock, "utf8"));
    const isLeft = pid > 0 ? !isAlive(pid) : Date.now() - statSync(lock).mtimeMs > EMPTY;
    if (!isLeft) return pid;
  } catch (error) {
    // Its owner has just removed it.
    if (error.code !== "ENOENT") throw error;
    return 0;
  }
  rmSync(lock, { force: true });
  return 0;
};

// Two commands started together must not install over each other. The lock is outside
// node_modules, because npm empties that.
const withLock = async (root, work) => {
  const lock = lockOf(root);
  let waitsFor = 0;
  while (!take(lock)) {
    const owner = ownerOf(lock);
    if (owner > 0 && owner !== waitsFor) {
      waitsFor = owner;
      console.log(`Waiting for process ${owner}, which installs (${lock}) …`);
    }
    await sleep(200);
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
};

const namesIn = (folder) => (existsSync(folder) ? readdirSync(folder) : []);

/** How many packages are in a `node_modules`, those of scopes included. */
const countPackages = (folder) =>
  namesIn(folder).reduce((sum, name) => {
    if (name.startsWith(".")) return sum;
    return sum + (name.startsWith("@") ? namesIn(join(folder, name)).length : 1);
  }, 0);

/** One line that says how far the install is; where that is no terminal, it is written once. */
const showProgress = (root, output) => {
  const total = Object.keys(packagesOf(join(root, "package-lock.json"))).filter((path) =>
    /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path),
  ).length;
  const start = performance.now();
  if (!output.isTTY) {
    output.write(`Installing ${total} packages …\n`);
    return () => {};
  }
  const show = () => {
    const count = Math.min(countPackages(join(root, "node_modules")), total);
    const seconds = Math.round((performance.now() - start) / 1000);
    output.write(`\r\x1b[KInstalling: ${count} of ${total} packages, ${seconds} s`);
  };
  show();
  const timer = setInterval(show, 250);
  return () => {
    clearInterval(timer);
    output.write("\r\x1b[K");
  };
};

/** Runs npm, and keeps what it writes to itself unless it fails. */
const npm = async (root, args, PATH) => {
  // Without dev dependencies (NODE_ENV=production) and optional ones nothing here would run.
  const include = ["--include=dev", "--include=optional"];
  const quiet = ["--no-audit", "--no-fund", "--no-progress", "--loglevel=error"];
  const child = spawn("npm", [...args, ...include, ...quiet], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, PATH },
  });
  let written = "";
  for (const output of [child.stdout, child.stderr]) output.on("data", (text) => (written += text));
  const code = await new Promise((resolve, reject) => {
    child.once("close", resolve);
    child.once("error", (error) => {
      const missing = "npm was not found on PATH. Install Node with npm.";
      reject(error.code === "ENOENT" ? new Error(missing) : error);
    });
  });
  if (code !== 0) {
    throw new Error(
      `${written}npm ${args[0]} failed; npm says why above. The first set-up needs npm's registry: if this machine\n` +
        "is offline or behind a proxy, see `npm config get registry proxy https-proxy`.",
    );
  }
};

/** Installs what `package-lock.json` names, unless it is there already; `output` gets one line. */
export const install = async (root = workspace, output = process.stdout) => {
  if (isInstalled(root)) return;
  await withLock(root, async () => {
    if (isInstalled(root)) return;
    const hide = showProgress(root, output);
    try {
      const { PATH } = process.env;
      await npm(root, ["ci"], PATH);
      if (isInstalled(root)) return;
      // npm leaves out a platform's packages that ask for another Node than it runs on; on the
      // workspace's own, which is here now, it takes them.
      const own = join(workspace, "node_modules/node/bin");
      await npm(root, ["install", "--no-save"], [own, PATH].join(delimiter));
    } finally {
      hide();
    }
  });
};
