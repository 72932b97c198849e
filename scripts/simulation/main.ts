// One process of `npm run simulate`: plays seeds, and prints the first plan that breaks a law, shrunk.
import { parseArgs } from "node:util";
import { MUTANTS, plant } from "./mutants.ts";
import type { Plan } from "./plan.ts";
import { takeOver } from "./world.ts";

const { values } = parseArgs({
  options: {
    from: { type: "string", default: "1" },
    count: { type: "string", default: "1" },
    mutant: { type: "string" },
    quiet: { type: "boolean", default: false },
  },
});
const mutant = MUTANTS.find(({ name }) => name === values.mutant);
if (values.mutant !== undefined && !mutant) throw new TypeError(`no mutant ${values.mutant}`);
if (mutant) plant(mutant);
takeOver();
const { planOf } = await import("./plan.ts");
const { run } = await import("./run.ts");
const { shrink } = await import("./shrink.ts");

const print = (plan: Plan, { violations, log }: Awaited<ReturnType<typeof run>>): void => {
  for (const it of violations) console.log(it);
  const { visits, ...rest } = plan;
  console.log(JSON.stringify(rest));
  for (const visit of visits) console.log(`  ${JSON.stringify(visit)}`);
  for (const line of log) if (!line.endsWith("the event loop turns")) console.log(`    ${line}`);
};

const from = Number(values.from);
const play = async (): Promise<number> => {
  for (let seed = from; seed < from + Number(values.count); seed++) {
    const plan = planOf(seed);
    const result = await run(plan);
    if (result.violations.length === 0) continue;
    console.log(`seed ${seed}, after ${seed - from + 1} runs: ${result.violations[0]}`);
    if (values.quiet) return 1;
    const small = await shrink(plan);
    print(small, await run(small));
    return 1;
  }
  console.log(`${values.count} runs from seed ${from}, no law broken`);
  return 0;
};
process.exit(await play());
