import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { install, isInstalled, lockOf } from "../install.js";
import { until } from "../testing/until.ts";

const koa = { version: "3.3.0", integrity: "sha512-a" };
const roots: string[] = [];

const tree = (
  locked: Record<string, object>,
  installed: Record<string, object> | undefined,
  onDisk: readonly string[] = Object.keys(installed ?? {}),
): string => {
  const root = mkdtempSync(join(tmpdir(), "lanai-install-"));
  roots.push(root);
  mkdirSync(join(root, "node_modules"));
  writeFileSync(join(root, "package-lock.json"), JSON.stringify({ packages: locked }));
  if (installed) {
    const hidden = join(root, "node_modules/.package-lock.json");
    writeFileSync(hidden, JSON.stringify({ packages: installed }));
  }
  for (const path of onDisk) {
    mkdirSync(join(root, path), { recursive: true });
    writeFileSync(join(root, path, "package.json"), "{}");
  }
  return root;
};

afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true });
});

test("a tree that matches its lock is installed", () => {
  const root = tree(
    { "": {}, "packages/a": {}, "node_modules/koa": koa },
    { "node_modules/koa": koa },
  );
  expect(isInstalled(root)).toBe(true);
});

test("a fresh clone is not installed", () => {
  expect(isInstalled(tree({ "node_modules/koa": koa }, undefined))).toBe(false);
});

test("a package that the lock gained shows", () => {
  expect(isInstalled(tree({ "node_modules/koa": koa }, {}))).toBe(false);
});

test.for([{ version: "3.2.0" }, { integrity: "sha512-b" }])(
  "another package shows: %o",
  (other) => {
    const installed = { "node_modules/koa": { ...koa, ...other } };
    expect(isInstalled(tree({ "node_modules/koa": koa }, installed))).toBe(false);
  },
);

test("a deleted folder shows", () => {
  const packages = { "node_modules/koa": koa };
  expect(isInstalled(tree(packages, packages, []))).toBe(false);
});

const here = { os: "linux", cpu: "x64", libc: "glibc" };

test.for([
  { os: ["darwin"] },
  { os: ["linux"], cpu: ["arm64"] },
  { os: ["linux"], cpu: ["x64"], libc: ["musl"] },
])("an optional package of another platform is not missed: %o", (platform) => {
  const root = tree({ "node_modules/binding": { ...koa, ...platform, optional: true } }, {});
  expect(isInstalled(root, here)).toBe(true);
});

test("an optional package that only those of other platforms need is not missed", () => {
  const root = tree({ "node_modules/wasm": { ...koa, optional: true } }, {});
  expect(isInstalled(root, here)).toBe(true);
});

test.for([{ os: ["linux"] }, { os: ["darwin", "linux"], cpu: ["x64"], libc: ["glibc"] }])(
  "an optional package of this platform that was left out shows: %o",
  (platform) => {
    const root = tree({ "node_modules/binding": { ...koa, ...platform, optional: true } }, {});
    expect(isInstalled(root, here)).toBe(false);
  },
);

describe("an install", () => {
  const binding = { "node_modules/binding": { ...koa, os: [process.platform], optional: true } };

  /** A folder to install, with an npm that notes its call and leaves what a call is said to. */
  const prepared = (left: Readonly<Record<"ci" | "install", Record<string, object>>>) => {
    const root = tree(binding, undefined, Object.keys(binding));
    for (const [call, packages] of Object.entries(left))
      writeFileSync(join(root, call), JSON.stringify({ packages }));
    const npm = `#!/bin/sh
echo "$1 $(command -v node)" >> calls
echo "npm warn EBADENGINE"; echo "npm error why" >&2
cp "$1" node_modules/.package-lock.json
`;
    writeFileSync(join(root, "npm"), npm, { mode: 0o755 });
    vi.stubEnv("PATH", [root, process.env.PATH].join(delimiter));
    vi.stubEnv("TMPDIR", root);
    const told = vi.spyOn(console, "log").mockImplementation(() => {});
    const written: string[] = [];
    const output = { isTTY: false, write: (text: string) => void written.push(text) };
    const calls = () => readFileSync(join(root, "calls"), "utf8").split("\n");
    return { root, told, written, output, calls };
  };

  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
  });

  test("is one call of npm where that leaves nothing out, and none the next time", async () => {
    const { root, output, calls } = prepared({ ci: binding, install: {} });
    await install(root, output);
    await install(root, output);
    expect(calls()).toEqual([expect.stringMatching(/^ci /), ""]);
  });

  test("adds, on the workspace's Node, what npm leaves out on an older one", async () => {
    const { root, output, calls } = prepared({ ci: {}, install: binding });
    await install(root, output);
    const own = join(import.meta.dirname, "../../node_modules/node/bin/node");
    expect(calls()).toEqual([expect.stringMatching(/^ci /), `install ${own}`, ""]);
    expect(isInstalled(root)).toBe(true);
  });

  test.for([
    { left: "by a process that has ended", pid: `${spawnSync(process.execPath, ["-v"]).pid}` },
    { left: "empty, long ago", pid: "" },
  ])("takes over a lock that was left $left", async ({ pid }) => {
    const { root, output, calls } = prepared({ ci: binding, install: {} });
    writeFileSync(lockOf(root), pid);
    if (pid === "") utimesSync(lockOf(root), 0, 0);
    await install(root, output);
    expect(calls()).toHaveLength(2);
    expect(existsSync(lockOf(root))).toBe(false);
  });

  test("waits for one that is under way, and says for which", async () => {
    const { root, output, told } = prepared({ ci: binding, install: {} });
    writeFileSync(lockOf(root), `${process.pid}`);
    const installing = install(root, output);
    await until(() => expect(told).toHaveBeenCalled());
    expect(existsSync(join(root, "calls"))).toBe(false);
    expect(told.mock.calls).toEqual([[expect.stringContaining(`process ${process.pid}`)]]);
    rmSync(lockOf(root));
    await installing;
    expect(isInstalled(root)).toBe(true);
  });

  test("is one line, whatever npm writes", async () => {
    const { root, output, written } = prepared({ ci: binding, install: {} });
    await install(root, output);
    expect(written).toEqual(["Installing 1 packages …\n"]);
  });

  test("is, on a terminal, a line that counts, and is gone when all is there", async () => {
    const { root, output, written } = prepared({ ci: binding, install: {} });
    await install(root, { ...output, isTTY: true });
    expect(written.at(0)).toContain("Installing: 1 of 1 packages, ");
    expect(written.at(-1)).toBe("\r\x1b[K");
  });

  test("that fails says what npm wrote, and where to look", async () => {
    const { root, output } = prepared({ ci: binding, install: {} });
    rmSync(join(root, "ci"));
    const failing = install(root, output);
    await expect(failing).rejects.toThrow(/npm error why[\s\S]+npm ci failed; npm says why above/);
    expect(existsSync(lockOf(root))).toBe(false);
  });
});
