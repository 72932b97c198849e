import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { isLong } from "./scripts/testing/chance.ts";
import { patience } from "./scripts/testing/patience.ts";

const SERVERS = "**/*.server.test.ts";
/** Without `*.long.server.test.ts`, which `npm run test:long` and `npm run test:examples` run. */
const SHORT_SERVERS = "**/!(*.long).server.test.ts";

export default defineConfig({
  ssr: { resolve: { conditions: ["@lanai/source"] } },
  test: {
    ...patience,
    // Those that run at once in a file wait most of the time.
    maxConcurrency: 20,
    // More than there are cores: on two, files that wait for a server left half of the time unused.
    maxWorkers: availableParallelism() + 3,
    // Projects start in the order of their names: the long files, which wait for servers, come first,
    // and those that only compute fill what they leave.
    projects: [
      {
        extends: true,
        test: {
          name: "servers",
          include: [`{packages,examples,scripts}/${isLong ? SERVERS : SHORT_SERVERS}`],
        },
      },
      {
        extends: true,
        test: {
          name: "units",
          include: ["{packages,examples}/*/test/**/*.test.ts", "scripts/test/**/*.test.ts"],
          exclude: [SERVERS],
        },
      },
    ],
  },
});
