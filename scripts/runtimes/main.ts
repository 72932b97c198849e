// The conformance suites and a smoke of every package on the runtime that runs this, with the built
// packages: `main.ts <name> <report> <servers as JSON>`, which scripts/runtimes.js starts.
import { busSuites } from "./buses.ts";
import { Runner } from "./report.ts";
import type { Servers } from "./servers.ts";
import { smokes } from "./smokes.ts";
import { sessionSuites } from "./stores.ts";

const [name = "", report = "", text = ""] = process.argv.slice(2);
const servers = JSON.parse(text) as Servers;
const runner = new Runner();
smokes(runner.test, servers);
sessionSuites(runner.test, servers);
busSuites(runner.test, servers);
runner.run(name, report).then(
  (failed) => process.exit(failed === 0 ? 0 : 1),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
