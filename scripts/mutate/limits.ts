import { expect, vi } from "vitest";

// A mutant often shows by what doesn't come. Waiting for it ends sooner than in other runs, which
// scripts/mutate.js makes up for: such a failure counts only if the same tests pass without the mutant.
const { limits } = JSON.parse(process.env.LANAI_MUTATE ?? "{}");
const { waitFor } = vi;
vi.waitFor = (callback, options) =>
  waitFor(callback, { ...(typeof options === "object" && options), timeout: limits.wait });
vi.setConfig({ testTimeout: limits.tests[expect.getState().testPath ?? ""] });
