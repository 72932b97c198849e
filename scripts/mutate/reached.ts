import { appendFileSync } from "node:fs";
import { afterAll, beforeAll, expect } from "vitest";

// Which mutants' places a test file reaches, for the first pass of scripts/mutate.js.
const reached = new Set<number>();
Object.assign(globalThis, { __reach: (n: number) => reached.add(n) });

let file: string | undefined;
const start = performance.now();
beforeAll(() => {
  file = expect.getState().testPath;
});
afterAll(() => {
  const { reached: path } = JSON.parse(process.env.LANAI_MUTATE ?? "{}");
  const ms = Math.round(performance.now() - start);
  appendFileSync(path, `${JSON.stringify({ file, ms, reached: [...reached] })}\n`);
});
