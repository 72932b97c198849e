import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runInNewContext } from "node:vm";
import { parseSync } from "oxc-parser";
import { expect, test } from "vitest";
import { mutantsOf, mutated, watched } from "../mutate/mutants.js";

const root = join(import.meta.dirname, "../..");
const all = (text: string) => mutantsOf("a.ts", text).map((mutant) => mutated(text, mutant));

test.for<[text: string, mutants: string[]]>([
  ["x = a === b;", [";", "x = (a !== b);"]],
  ["x = a /* && */ && b;", [";", "x = (a /* && */ || b);"]],
  ["f();", [";"]],
  ["if (a) b; else c;", ["if (true) b; else c;", "if (false) b; else c;"]],
  ["x = !a;", [";", "x = a;"]],
  ["x = 5;", [";", "x = (5 + 1);"]],
  [
    "x = true ? 'a' : b;",
    [
      ";",
      "x = true ? 'a' : b;",
      "x = false ? 'a' : b;",
      "x = false ? 'a' : b;",
      'x = true ? "" : b;',
    ],
  ],
  ["const f = () => { return a; };", ["const f = () => { return undefined; };"]],
])("%s", ([text, mutants]) => {
  expect(all(text).sort()).toEqual(mutants.sort());
});

test.for([
  'import { a } from "a";',
  'export { a } from "a";',
  'type A = "a" | 1 | true;',
  'interface A { readonly a: "b" }',
  "const { a } = b;",
  "const a: 5 = b;",
])("%s has nothing that a test could reach", (text) => {
  expect(all(text)).toEqual([]);
});

test("what a type assertion holds is code", () => {
  expect(all("const x = (a && b) as true;")).toEqual(["const x = ((a || b)) as true;"]);
});

test("the places that are reached are told, and nothing else is different", () => {
  const text = "if (a && b) { f(1); } else { f(2 > 1 ? 3 : 4); }";
  const mutants = mutantsOf("a.ts", text).map((mutant, n) => ({ ...mutant, n }));
  const run = (a: boolean) => {
    const reached = new Set<number>();
    const calls: unknown[] = [];
    const context = { a, b: true, f: (it: unknown) => calls.push(it) };
    runInNewContext(watched(text, mutants), {
      ...context,
      __reach: (n: number) => reached.add(n),
    });
    return { calls, kinds: mutants.filter(({ n }) => reached.has(n)).map(({ kind }) => kind) };
  };
  expect(run(true).calls).toEqual([1]);
  expect(run(true).kinds).not.toContain("> to >=");
  expect(run(false).calls).toEqual([3]);
  expect(run(false).kinds).toContain("> to >=");
});

test("every mutant of the sources is a program, and so is the one that tells", () => {
  const files = globSync("packages/{flash,session}/src/**/*.ts", { cwd: root });
  let count = 0;
  for (const file of files) {
    const text = readFileSync(join(root, file), "utf8");
    const mutants = mutantsOf(file, text).map((mutant, n) => ({ ...mutant, n }));
    expect(parseSync(file, watched(text, mutants)).errors, file).toEqual([]);
    for (const mutant of mutants.filter(({ n }) => n % 10 === 0)) {
      const { errors } = parseSync(file, mutated(text, mutant));
      expect(errors, `${file}:${mutant.line} ${mutant.kind}`).toEqual([]);
    }
    count += mutants.length;
  }
  expect(count).toBeGreaterThan(1_000);
});
