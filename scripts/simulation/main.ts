// One process of `npm run simulate`: plays seeds, and prints the first plan that breaks a law, shrunk.
// With `--deviations` it plays small plans in every order with at most so many of them.
import { parseArgs } from "node:util";
import { explore } from "./explore.ts";
import { MUTANTS as LIVE_MUTANTS } from "./live/mutants.ts";
import { separateProcesses } from "./live/slots.ts";
import { MUTANTS } from "./mutants.ts";
import { plant } from "./plant.ts";
import { type Result, type Simulation, shrink } from "./shrink.ts";
import { outside, takeOver } from "./world.ts";

const { values } = parseArgs({
  options: {
    live: { type: "boolean", default: false },
    from: { type: "string", default: "1" },
    count: { type: "string", default: "1" },
    deviations: { type: "string" },
    mutant: { type: "string" },
    quiet: { type: "boolean", default: false },
  },
});
const mutants = values.live ? LIVE_MUTANTS : MUTANTS;
const mutant = mutants.find(({ name }) => name === values.mutant);
if (values.mutant !== undefined && !mutant) throw new TypeError(`no mutant ${values.mutant}`);
if (mutant) plant(mutant);
takeOver();
separateProcesses();

/** A plan of either simulation. */
interface AnyPlan {
  readonly seed: number;
  readonly visits?: readonly object[];
  readonly steps?: readonly object[];
}

const print = (plan: AnyPlan, { violations, log }: Result): void => {
  for (const it of violations) console.log(it);
  const { visits = [], steps = [], ...rest } = plan;
  console.log(JSON.stringify(rest));
  for (const it of [...visits, ...steps]) console.log(`  ${JSON.stringify(it)}`);
  for (const line of log) if (!line.endsWith("the event loop turns")) console.log(`    ${line}`);
};

const from = Number(values.from);
async function play<Plan extends AnyPlan>(simulation: Simulation<Plan>): Promise<number> {
  let events = 0;
  for (let seed = from; seed < from + Number(values.count); seed++) {
    const plan = simulation.planOf(seed);
    const result = await outside(simulation.run, plan);
    events += result.log.length;
    if (result.violations.length === 0) continue;
    console.log(`seed ${seed}, after ${seed - from + 1} runs: ${result.violations[0]}`);
    if (values.quiet) return 1;
    const small = await shrink(plan, simulation);
    print(small, await simulation.run(small));
    return 1;
  }
  console.log(`${values.count} runs from seed ${from}, ${events} events, no law broken`);
  return 0;
}
async function playEveryOrder<Plan extends AnyPlan>(
  { run, scopes }: Simulation<Plan>,
  deviations: number,
): Promise<number> {
  let runs = 0;
  for (const { name, plan } of scopes) {
    const explored = await explore((decisions) => run(plan, decisions), deviations);
    runs += explored.runs;
    const { broken } = explored;
    if (broken) {
      console.log(`${name}, after ${explored.runs} runs: ${broken.violations[0]}`);
      if (!values.quiet) print(plan, broken);
      return 1;
    }
  }
  console.log(
    `${scopes.length} plans in every order with ${deviations} deviations at most, ${runs} runs, no law broken`,
  );
  return 0;
}

async function start<Plan extends AnyPlan>(simulation: Simulation<Plan>): Promise<number> {
  const { deviations } = values;
  return deviations === undefined
    ? play(simulation)
    : playEveryOrder(simulation, Number(deviations));
}
process.exit(
  values.live
    ? await start(await import("./live/live.ts"))
    : await start(await import("./sessions.ts")),
);
