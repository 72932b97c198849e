import { defineConfig } from "vitest/config";

export default defineConfig({
  ssr: { resolve: { conditions: ["@lanai/source"] } },
  test: { include: ["{packages,examples}/*/test/**/*.test.ts", "scripts/test/**/*.test.ts"] },
});
