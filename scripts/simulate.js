// Plays the project's own code in a simulated world, and checks the laws: `npm run simulate`. With
// `-- --mutants` it checks that each mutant in scripts/simulation is found.
import { spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "./node.js";
import { MUTANTS } from "./simulation/mutants.ts";

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "2000" },
    seed: { type: "string" },
    mutants: { type: "boolean", default: false },
  },
});

const simulate = (args, stdio) =>
  spawnSync(
    process.execPath,
    ["--conditions=@lanai/source", join(root, "scripts/simulation/main.ts"), ...args],
    { stdio, encoding: "utf8" },
  );

const from = values.seed ?? String(randomInt(1, 2 ** 31));
let failed = 0;
if (values.mutants) {
  for (const { name } of MUTANTS) {
    const args = ["--from", from, "--count", values.count, "--mutant", name, "--quiet"];
    const { status, stdout, stderr } = simulate(args, "pipe");
    if (status !== 1 || !stdout.startsWith("seed")) failed += 1;
    console.log(`${name}\n  ${status === 1 ? stdout.trim() : `NOT FOUND ${stdout}${stderr}`}`);
  }
  console.log(`${MUTANTS.length - failed} of ${MUTANTS.length} mutants are found`);
} else {
  failed = simulate(["--from", from, "--count", values.count], "inherit").status;
}
process.exitCode = failed === 0 ? 0 : 1;
