import { join } from "node:path";
import { createVitest } from "vitest/node";
import { root } from "../node.js";

// A Vitest that stays for many mutants: what it has read of the other files, it needn't read again.
// Each message `{ mutant, source, files }` is a run; the last of its messages is `{ isPassed }`.
const vitest = await createVitest({ config: "scripts/mutate/vitest.config.ts", watch: false });
await vitest.standalone();

const invalidate = (source) => source && vitest.invalidateFile(join(root, source));
let last;

const run = async ({ mutant, source, files }) => {
  process.env.LANAI_MUTANT = `${mutant}`;
  invalidate(last);
  invalidate(source);
  last = source;
  const specifications = await vitest.globTestSpecifications(files);
  const { unhandledErrors } = await vitest.runTestSpecifications(specifications);
  process.send({ isPassed: unhandledErrors.length === 0 });
};

process.on("message", (job) => void run(job));
// Workers that are busy wouldn't notice.
process.once("disconnect", () => process.kill(-process.pid, "SIGKILL"));
