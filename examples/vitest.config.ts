import { basename, join } from "node:path";
import { defineConfig } from "vitest/config";
import { patience } from "../scripts/testing/patience.ts";

const reports = join(import.meta.dirname, "../node_modules/.cache/reports/examples");

/** For `npm test` in an example: the packages are what their users get, the built ones. */
// biome-ignore lint/style/noDefaultExport: Vitest reads it
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    ...patience,
    reporters: [
      "default",
      ["json", { outputFile: join(reports, `${basename(process.cwd())}.json`) }],
    ],
  },
});
