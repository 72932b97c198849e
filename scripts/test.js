// Runs the tests, installing first if needed: `npm test`, and with `--unit` only what needs no
// server. Other arguments go to Vitest: `npm test -- packages/session -t "a logout"`.
import { install } from "./install.js";
import { runNode } from "./node.js";
import { installServers } from "./servers.js";

const test = async (args) => {
  await install();
  const unit = args.includes("--unit");
  // Each test starts and stops the servers it needs: here they only have to be on the machine.
  if (!unit) installServers();
  return runNode([
    "node_modules/vitest/vitest.mjs",
    "run",
    "--reporter=default",
    "--reporter=json",
    "--outputFile.json=node_modules/.cache/reports/test.json",
    ...(unit ? ["--exclude=**/*.server.test.ts"] : []),
    ...args.filter((arg) => arg !== "--unit"),
  ]);
};

test(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    console.error(error.message);
    process.exitCode = 1;
  },
);
