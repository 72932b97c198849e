import { readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vitest/config";
import base from "../../vitest.config.ts";
import { mutated, watched } from "./mutants.js";

const { plan = "", mutant } = JSON.parse(process.env.LANAI_MUTATE ?? "{}");
const { root, mutants } = JSON.parse(readFileSync(plan, "utf8"));

/** Puts the one mutant in its place, or else a word from each place that is reached. */
const mutating: Plugin = {
  name: "mutating",
  enforce: "pre",
  transform(text, id) {
    const file = id.replace(/\?.*$/, "").slice(root.length + 1);
    const here = mutants.filter((it: { file: string }) => it.file === file);
    if (here.length === 0) return undefined;
    if (mutant === undefined) return { code: watched(text, here), map: null };
    const chosen = here.find((it: { n: number }) => it.n === mutant);
    return chosen && { code: mutated(text, chosen), map: null };
  },
};

// biome-ignore lint/style/noDefaultExport: Vitest reads it
export default defineConfig({
  ...base,
  root,
  plugins: [mutating],
  test: {
    ...base.test,
    // It would keep what another mutant has made of a file.
    fsModuleCache: false,
    ...(mutant === undefined && { setupFiles: ["scripts/mutate/reached.ts"] }),
  },
});
