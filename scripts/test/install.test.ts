import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { isInstalled } from "../install.js";

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

test("an optional package of another platform is not missed", () => {
  expect(isInstalled(tree({ "node_modules/fsevents": { ...koa, optional: true } }, {}))).toBe(true);
});
