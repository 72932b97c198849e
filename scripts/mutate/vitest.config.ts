import { readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vitest/config";
import { BaseSequencer, type Reporter, type TestSpecification, type Vitest } from "vitest/node";
import base from "../../vitest.config.ts";
import { mutated, watched } from "./mutants.js";

const { plan = "", reached, limits } = JSON.parse(process.env.LANAI_MUTATE ?? "{}");
const { root, mutants } = JSON.parse(readFileSync(plan, "utf8"));

/** Puts the one mutant in its place, or else a word from each place that is reached. */
const mutating: Plugin = {
  name: "mutating",
  enforce: "pre",
  transform(text, id) {
    const file = id.replace(/\?.*$/, "").slice(root.length + 1);
    const here = mutants.filter((it: { file: string }) => it.file === file);
    if (here.length === 0) return undefined;
    if (reached) return { code: watched(text, here), map: null };
    const chosen = here.find(({ n }: { n: number }) => `${n}` === process.env.LANAI_MUTANT);
    return chosen && { code: mutated(text, chosen), map: null };
  },
};

/** Test files in the order in which `limits` names them. */
class Ordered extends BaseSequencer {
  override sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const order = Object.keys(limits?.tests ?? {});
    const at = ({ moduleId }: TestSpecification) => order.indexOf(moduleId);
    return Promise.resolve([...files].sort((one, other) => at(one) - at(other)));
  }
}

/** Sends the first failure to scripts/mutate/vitest.js, and waits for no second one; before, each test that ends. */
class Telling implements Reporter {
  #vitest?: Vitest;

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
  }

  onTestCaseResult(test: Parameters<NonNullable<Reporter["onTestCaseResult"]>>[0]): void {
    if (test.result().state !== "failed") process.send?.({});
    else this.#tell(test.module.moduleId, test.fullName, test.diagnostic()?.duration);
  }

  onTestModuleEnd(module: Parameters<NonNullable<Reporter["onTestModuleEnd"]>>[0]): void {
    if (module.errors().length === 0) return;
    this.#tell(module.moduleId, "", module.diagnostic().duration);
  }

  #tell(file: string, test: string, ms = 0): void {
    process.send?.({ file, test, ms });
    void this.#vitest?.cancelCurrentRun("test-failure");
  }
}

// biome-ignore lint/style/noDefaultExport: Vitest reads it
export default defineConfig({
  ...base,
  root,
  plugins: [mutating],
  test: {
    ...base.test,
    // It would keep what another mutant has made of a file.
    fsModuleCache: false,
    // Most mutants are killed by one of the first files: the other workers would have started for nothing.
    maxWorkers: 2,
    sequence: { sequencer: Ordered },
    reporters: [new Telling()],
    ...(reached && { setupFiles: ["scripts/mutate/reached.ts"] }),
    ...(limits && {
      setupFiles: ["scripts/mutate/limits.ts"],
      expect: { poll: { timeout: limits.wait } },
    }),
  },
});
