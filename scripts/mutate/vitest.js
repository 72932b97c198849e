import { fork } from "node:child_process";
import { root } from "../node.js";

/** How long a test waits for anything while there is a mutant, in milliseconds. */
const WAIT = 15_000;
/** How long no test may end while there is a mutant, in milliseconds: some mutants loop without end. */
const SILENCE = 120_000;
/** How long a Vitest may take to get ready for the next mutant after a failure. */
const GRACE = 10_000;

/** A Vitest for many runs. One that a run has left busy is replaced by another. */
export class Runner {
  #options;
  #child;

  constructor(options) {
    this.#options = options;
  }

  /**
   * Runs test files with a mutant. Resolves to `{ status: "passed" | "failed" | "late", file, test, ms }`,
   * at the first failure. It is "late" if no test has ended for as long as `silence`, in milliseconds.
   */
  run(job, silence) {
    this.#child ??= fork("scripts/mutate/runner.js", {
      cwd: root,
      detached: true,
      stdio: "ignore",
      env: { ...process.env, LANAI_MUTATE: JSON.stringify(this.#options) },
    });
    const child = this.#child;
    return new Promise((resolve) => {
      let failure;
      const settle = (outcome) => {
        clearTimeout(timer);
        child.removeAllListeners();
        resolve(outcome);
      };
      const giveUp = () => {
        this.end();
        settle(failure ?? { status: "late" });
      };
      let timer = setTimeout(giveUp, silence);
      child.on("message", ({ isPassed, ...test }) => {
        if (isPassed !== undefined) settle(failure ?? { status: isPassed ? "passed" : "failed" });
        else if (failure) return;
        else if (test.file === undefined) timer.refresh();
        else {
          failure = { status: "failed", ...test };
          clearTimeout(timer);
          timer = setTimeout(giveUp, GRACE);
        }
      });
      child.once("exit", () => {
        this.#child = undefined;
        settle(failure ?? { status: "failed" });
      });
      child.send(job);
    });
  }

  end() {
    if (this.#child) process.kill(-this.#child.pid, "SIGKILL");
    this.#child = undefined;
  }
}

/** How often a failure that isn't confirmed is tried. */
const ATTEMPTS = 3;

/**
 * A function that resolves to what becomes of a mutant: `{ status, by }`. Tests with servers are asked
 * only if the others haven't killed it, the fastest first.
 */
export const fates = (plan, reach) => {
  const tests = [...reach].sort((one, other) => one.ms - other.ms);
  const limits = {
    wait: WAIT,
    tests: Object.fromEntries(tests.map(({ file, ms }) => [file, WAIT + 5_000 + 3 * ms])),
  };
  const runner = new Runner({ plan, limits });
  const attempt = (mutant, some) => {
    const files = some.map(({ file }) => file);
    return runner.run({ mutant: mutant.n, source: mutant.file, files }, SILENCE);
  };

  /**
   * A failure counts if the same tests fail again, for they may have failed by chance. If it may be due to
   * a limit of time, they must pass within the same limits without the mutant. Otherwise the machine is
   * too busy to tell.
   */
  const decide = async (mutant, some) => {
    for (let n = 0; n < ATTEMPTS; n++) {
      const { status, file, test, ms } = await attempt(mutant, some);
      if (status === "passed") return { status: "survived" };
      const by = file ? `${file.slice(root.length)} ${test}` : "what is outside of tests";
      const isLate = status === "late" || ms >= WAIT;
      const same = file ? some.filter((it) => it.file === file) : some;
      const again = await attempt(isLate ? { n: -1, file: mutant.file } : mutant, same);
      if ((again.status === "passed") === isLate) return { status: "killed", by };
    }
    return {};
  };

  const isServer = ({ file }) => file.endsWith(".server.test.ts");
  return async (mutant) => {
    const reaching = tests.filter(({ reached }) => reached.includes(mutant.n));
    let fate = { status: reaching.length === 0 ? "unreached" : "survived" };
    for (const some of [reaching.filter((it) => !isServer(it)), reaching.filter(isServer)]) {
      if (some.length > 0 && fate.status === "survived") fate = await decide(mutant, some);
    }
    return fate;
  };
};
