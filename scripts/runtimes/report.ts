import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** The form that conformance suites ask of a test runner's `test`. */
export type Test = (name: string, fn: () => Promise<void>) => void;

/** For a case that never ends: none takes seconds on an idle machine. */
const TIMEOUT = 60_000;

const withDeadline = async (fn: () => Promise<void>): Promise<void> => {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not settled within ${TIMEOUT} ms`)), TIMEOUT);
  });
  try {
    await Promise.race([fn(), over]);
  } finally {
    clearTimeout(timer);
  }
};

/** A test runner that needs nothing of a runtime: cases one after another, and a report of Vitest's form. */
export class Runner {
  readonly #cases: { readonly name: string; readonly fn: () => Promise<void> }[] = [];
  readonly #write: (line: unknown) => void;

  /** @param options - `write` gets what is said. Default: the terminal. */
  constructor({ write = console.log }: { readonly write?: (line: unknown) => void } = {}) {
    this.#write = write;
  }

  readonly test: Test = (name, fn) => {
    this.#cases.push({ name, fn });
  };

  /** Runs all cases, writes the report to `file`, and resolves to how many failed. */
  async run(runtime: string, file: string): Promise<number> {
    const assertionResults: object[] = [];
    let failed = 0;
    for (const { name, fn } of this.#cases) {
      try {
        await withDeadline(fn);
        assertionResults.push({ status: "passed", fullName: name });
      } catch (error) {
        failed++;
        this.#write(`${runtime}: failed: ${name}`);
        this.#write(error);
        assertionResults.push({ status: "failed", fullName: name });
      }
    }
    const status = failed > 0 ? "failed" : "passed";
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(
      file,
      JSON.stringify({ testResults: [{ name: runtime, status, assertionResults }] }),
    );
    this.#write(`${runtime}: ${assertionResults.length - failed} passed, ${failed} failed`);
    return failed;
  }
}
