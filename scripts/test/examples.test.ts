import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
// The bridges' "before" are programs of other packages.
const sources = globSync("examples/*/src/**/*.ts", { cwd: root }).filter(
  (path) => !path.includes("/before"),
);
const read = (path: string) => readFileSync(join(root, path), "utf8");

const CHANGES_STATE =
  /\.(post|put|patch|delete|del|all)\((["'`]\/)|method\s*===\s*"(POST|PUT|PATCH|DELETE)"/;
const REDIRECT = /\b(?:redirect|seeOther)\(((?:[^()]|\([^()]*\))*)\)/g;
/** A path of this site, or what `returnPath` or the example's own check has made one of it. */
const OWN_PATH =
  /^(?:ctx, )?("\/(?!\/)[^"]*"|`\/(?![/$])[^`]*`|returnPath\(.*\)|ctx\.path\.replace\(.*"\/"\)|path|ctx: Context, path: string)$/;

/** Routes whose path the router has matched as a whole. */
const ROUTED = /^examples\/porch\/src\/demos\/[\w-]+\.ts: ctx, ctx\.path$/;

test("every example that takes a state-changing request refuses one from another site", () => {
  const apps = sources.filter((path) => read(path).includes("new Koa("));
  const taking = apps.filter((path) => CHANGES_STATE.test(read(path)));
  expect(taking.length).toBeGreaterThan(8);
  const open = taking.filter((path) => !/\.use\(\s*sameOrigin\(/.test(read(path)));
  expect(open).toEqual([]);
});

/** The README's first program: fifteen lines, in which any request counts a visit and nobody signs in. */
const WITHOUT = ["examples/hello/src/main.ts"];

test("every program with sessions refuses state-changing requests from other sites", () => {
  const open = sources.filter(
    (path) =>
      /new Koa\(/.test(read(path)) &&
      /\b(?:createSessions|session)\(|\bsessions\.middleware\(/.test(read(path)) &&
      !/\.use\(\s*sameOrigin\(/.test(read(path)),
  );
  expect(open).toEqual(WITHOUT);
});

test("no example redirects to another site", () => {
  const elsewhere = sources.flatMap((path) =>
    [...read(path).matchAll(REDIRECT)]
      .map(([, target = ""]) => target)
      .filter((target) => !OWN_PATH.test(target))
      .map((target) => `${path}: ${target}`)
      .filter((found) => !ROUTED.test(found)),
  );
  expect(elsewhere).toEqual([]);
});

const examples = globSync("examples/*/package.json", { cwd: root }).map((path) =>
  path.replace(/^examples\/(.*)\/package\.json$/, "$1"),
);

test.each(examples)("%s has a README, programs, a test, and says how to stop", (name) => {
  expect(read(`examples/${name}/README.md`)).toContain("Ctrl+C");
  expect(globSync(`examples/${name}/src/**/*.ts`, { cwd: root })).not.toEqual([]);
  expect(globSync(`examples/${name}/test/*.test.ts`, { cwd: root })).not.toEqual([]);
});

test("the list of examples has all of them", () => {
  const links = [...read("examples/README.md").matchAll(/\]\((\w[\w-]*)\/README\.md\)/g)];
  expect(links.map(([, name]) => name).sort()).toEqual(examples.sort());
});

test("no file of the showcase is over 200 lines, and no demonstration over 60", () => {
  const lengths = globSync("examples/porch/{src,test}/**/*.{ts,css}", { cwd: root }).map(
    (path) => [path, read(path).split("\n").length] as const,
  );
  expect(lengths.length).toBeGreaterThan(20);
  const most = (path: string) => (path.includes("/demos/") ? 60 : 200);
  expect(lengths.filter(([path, lines]) => lines > most(path))).toEqual([]);
});
