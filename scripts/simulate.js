// Plays the project's own code in a simulated world, and checks the laws: `npm run simulate`. It plays
// requests, then live connections: random plans, then small ones in every order with a few deviations
// from the usual one. With `-- --only sessions` or `-- --only live` it plays one of the two, with
// `-- --exhaustive` the small plans alone. With `-- --mutants` it checks that each mutant in
// scripts/simulation breaks a law in some order of a small plan.
import { spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { machine } from "./evidence/machine.js";
import { record } from "./evidence/record.js";
import { root } from "./node.js";
import { MUTANTS as LIVE_MUTANTS } from "./simulation/live/mutants.ts";
import { MUTANTS } from "./simulation/mutants.ts";

const { values } = parseArgs({
  options: {
    count: { type: "string" },
    seed: { type: "string" },
    deviations: { type: "string" },
    only: { type: "string" },
    exhaustive: { type: "boolean", default: false },
    mutants: { type: "boolean", default: false },
  },
});

/** `deviations` are those in which every order is played; fewer find each mutant. */
const ALL = [
  {
    ...{ name: "sessions", args: [], count: "2000", deviations: "3" },
    ...{ mutants: MUTANTS, mutantDeviations: "2" },
  },
  {
    ...{ name: "live", args: ["--live"], count: "500", deviations: "1" },
    ...{ mutants: LIVE_MUTANTS, mutantDeviations: "1" },
  },
];
const chosen = ALL.filter(({ name }) => values.only === undefined || name === values.only);
if (chosen.length === 0) throw new TypeError("--only takes sessions or live");

const simulate = (args) => {
  const main = join(root, "scripts/simulation/main.ts");
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--conditions=@lanai/source", main, ...args],
    { encoding: "utf8", maxBuffer: 2 ** 28 },
  );
  return { status, printed: `${stdout}${stderr}`.trim() };
};

const from = values.seed ?? String(randomInt(1, 2 ** 31));
const lines = [];
let failed = 0;

const say = (line) => {
  console.log(line);
  lines.push(`- ${line}`);
};

const play = ({ name, args, count, deviations }) => {
  const random = ["--from", from, "--count", values.count ?? count];
  const everyOrder = ["--deviations", values.deviations ?? deviations];
  for (const more of values.exhaustive ? [everyOrder] : [random, everyOrder]) {
    const { status, printed } = simulate([...args, ...more]);
    if (status !== 0) failed += 1;
    say(`${name}: ${printed}`);
  }
};

const findMutants = ({ name, args, mutants, mutantDeviations }) => {
  let found = 0;
  for (const mutant of mutants) {
    const more = ["--deviations", values.deviations ?? mutantDeviations];
    const { status, printed } = simulate([...args, ...more, "--mutant", mutant.name, "--quiet"]);
    const isFound = status === 1 && /^.+, after \d+ runs: /.test(printed);
    if (isFound) found += 1;
    console.log(`${mutant.name}\n  ${isFound ? printed : `NOT FOUND ${printed}`}`);
  }
  say(`${name}: ${found} of ${mutants.length} mutants are found`);
  failed += mutants.length - found;
};

for (const it of chosen) {
  if (values.mutants) findMutants(it);
  else play(it);
}
const isWhole = Object.keys(values).every((name) => values[name] === false || name === "mutants");
if (failed === 0 && isWhole) {
  const topic = values.mutants ? "simulate-mutants" : "simulate";
  record(topic, { about: machine(), text: lines.join("\n") });
}
process.exitCode = failed === 0 ? 0 : 1;
