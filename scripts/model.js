// Checks the models in scripts/model with Spin, and that each of their mutants is found: `npm run model`.
// Traces of the model are replayed against the stores by scripts/test/model.server.test.ts.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { machine } from "./evidence/machine.js";
import { record } from "./evidence/record.js";
import { check, mutantsOf } from "./model/run.js";

/** The models, and how large each is checked; the first is the least in which mutants show. */
const MODELS = {
  commit: [{ CLIENTS: 2 }, { CLIENTS: 2, RESENDS: 2 }, { CLIENTS: 3 }],
  attach: [{}, { LOSES: 1 }],
};

const count = new Intl.NumberFormat("en");
const named = (defines) =>
  Object.entries(defines)
    .map(([name, value]) => `${name.toLowerCase()} ${value}`)
    .join(", ") || "as it is";

const checkModel = (model, scopes) => {
  const lines = scopes.map((scope) => {
    const { states, error } = check(model, scope);
    if (error) throw new Error(`${model} (${named(scope)}): ${error}`);
    return `${model}, ${named(scope)}: ${count.format(states)} states, no violation`;
  });
  const mutants = mutantsOf(
    readFileSync(join(import.meta.dirname, "model", `${model}.pml`), "utf8"),
  );
  const isFound = (mutant) =>
    scopes.slice(0, 2).some((scope) => check(model, { ...scope, [mutant]: 1 }).error !== undefined);
  const missed = mutants.filter((mutant) => !isFound(mutant));
  if (missed.length > 0) throw new Error(`${model}: not found: ${missed.join(", ")}`);
  return [...lines, `${model}: all ${mutants.length} mutants are found`];
};

try {
  const lines = [];
  for (const [model, scopes] of Object.entries(MODELS)) {
    for (const line of checkModel(model, scopes)) {
      console.log(line);
      lines.push(`- ${line}`);
    }
  }
  record("model", { about: machine(), text: lines.join("\n") });
} catch (error) {
  console.error(error.stdout || error.message);
  process.exitCode = 1;
}
