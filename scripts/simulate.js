// Plays the project's own code in a simulated world, and checks the laws: `npm run simulate`. It plays
// requests, then live connections; with `-- --only sessions` or `-- --only live` one of them. With
// `-- --exhaustive` it plays small plans in every order with a few deviations from the usual one. With
// `-- --mutants` it checks that each mutant in scripts/simulation is found.
import { spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "./node.js";
import { MUTANTS as LIVE_MUTANTS } from "./simulation/live/mutants.ts";
import { MUTANTS } from "./simulation/mutants.ts";

const { values } = parseArgs({
  options: {
    count: { type: "string" },
    seed: { type: "string" },
    only: { type: "string" },
    exhaustive: { type: "boolean", default: false },
    deviations: { type: "string" },
    mutants: { type: "boolean", default: false },
  },
});

const ALL = [
  { name: "sessions", args: [], mutants: MUTANTS, count: "2000", deviations: "3" },
  { name: "live", args: ["--live"], mutants: LIVE_MUTANTS, count: "500", deviations: "1" },
];
const chosen = ALL.filter(({ name }) => values.only === undefined || name === values.only);
if (chosen.length === 0) throw new TypeError("--only takes sessions or live");

const simulate = (args, stdio) =>
  spawnSync(
    process.execPath,
    ["--conditions=@lanai/source", join(root, "scripts/simulation/main.ts"), ...args],
    { stdio, encoding: "utf8" },
  );

const from = values.seed ?? String(randomInt(1, 2 ** 31));
let failed = 0;
for (const { args, mutants, count, deviations } of chosen) {
  const range = values.exhaustive
    ? [...args, "--deviations", values.deviations ?? deviations]
    : [...args, "--from", from, "--count", values.count ?? count];
  if (!values.mutants) {
    if (simulate(range, "inherit").status !== 0) failed += 1;
    continue;
  }
  let missed = 0;
  for (const { name } of mutants) {
    const { status, stdout, stderr } = simulate([...range, "--mutant", name, "--quiet"], "pipe");
    const isFound = status === 1 && /^.+, after \d+ runs: /.test(stdout);
    if (!isFound) missed += 1;
    console.log(`${name}\n  ${isFound ? stdout.trim() : `NOT FOUND ${stdout}${stderr}`}`);
  }
  console.log(`${mutants.length - missed} of ${mutants.length} mutants are found`);
  failed += missed;
}
process.exitCode = failed === 0 ? 0 : 1;
