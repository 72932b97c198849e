// Sums what .ci/run did: `node scripts/tally.js <step>=<exit code> …`. Prints `N passed, N failed`
// last, from the test runners' own reports, and exits with 1 unless everything ran and passed.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./node.js";
import { tally } from "./reports.js";
import { RUNTIMES, reportOf } from "./runtimes/list.js";

const readReport = (file) => {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
};

const examples = () =>
  readdirSync(join(root, "examples")).filter((name) =>
    existsSync(join(root, "examples", name, "package.json")),
  );

const steps = process.argv.slice(2).map((arg) => {
  const [step, code] = arg.split("=");
  return { step, code: Number(code) };
});
const reports = join(root, "node_modules/.cache/reports");
const { passed, problems } = tally(steps, [
  { step: "test", name: "test", report: readReport(join(reports, "test.json")) },
  ...examples().map((name) => ({
    step: "test:examples",
    name: `examples/${name}`,
    report: readReport(join(reports, "examples", `${name}.json`)),
  })),
  ...RUNTIMES.map((runtime) => ({
    step: "runtimes",
    name: runtime.name,
    report: readReport(join(root, reportOf(runtime))),
  })),
]);
for (const problem of problems) console.log(problem);
console.log(`${passed} passed, ${problems.length} failed`);
process.exitCode = problems.length === 0 ? 0 : 1;
