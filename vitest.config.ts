import { defineConfig } from "vitest/config";

export default defineConfig({
  ssr: { resolve: { conditions: ["@lanai/source"] } },
  test: {
    include: ["{packages,examples}/*/test/**/*.test.ts", "scripts/test/**/*.test.ts"],
    // Deadlines of protocols are in the tests; this one is for a machine that is busy.
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
