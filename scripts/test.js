// Runs the tests, installing first if needed: `npm test`, with `--unit` only what needs no server, and
// with `--long` (`npm run test:long`) the long forms, with thousands of rounds. Other arguments go to
// Vitest: `npm test -- packages/session -t "a logout"`.
import { randomInt } from "node:crypto";
import { install } from "./install.js";
import { runNode } from "./node.js";
import { installServers } from "./servers.js";

const OWN = ["--unit", "--long"];

const test = async (args) => {
  await install();
  const unit = args.includes("--unit");
  // Each test starts and stops the servers it needs: here they only have to be on the machine.
  if (!unit) installServers();
  if (args.includes("--long")) process.env.LONG = "1";
  process.env.LANAI_SEED ??= String(randomInt(2 ** 31));
  console.log(`LANAI_SEED=${process.env.LANAI_SEED} repeats the random choices of this run.`);
  return runNode([
    "node_modules/vitest/vitest.mjs",
    "run",
    "--reporter=default",
    "--reporter=json",
    "--outputFile.json=node_modules/.cache/reports/test.json",
    ...(unit ? ["--exclude=**/*.server.test.ts"] : []),
    ...args.filter((arg) => !OWN.includes(arg)),
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
