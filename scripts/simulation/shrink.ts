import type { Plan, Visit } from "./plan.ts";
import { run } from "./run.ts";

/** The name of the law at the beginning of a violation. */
const lawOf = (violation: string): string => violation.slice(0, violation.indexOf(":"));

/** How many seeds are tried for the order of events of a smaller plan. */
const SEEDS = 12;

/**
 * Returns a plan with fewer visits, fewer steps and fewer faults that breaks the same law. A smaller plan
 * has other orders of events, so that several seeds are tried for each.
 */
export async function shrink(plan: Plan): Promise<Plan> {
  const [first = ""] = (await run(plan)).violations;
  const law = lawOf(first);
  const failing = async (smaller: Plan): Promise<Plan | undefined> => {
    for (let more = 0; more < SEEDS; more++) {
      const tried = { ...smaller, seed: smaller.seed + more };
      const { violations } = await run(tried);
      if (violations.some((it) => lawOf(it) === law)) return tried;
    }
    return undefined;
  };
  let smallest = plan;
  for (let isSmaller = true; isSmaller; ) {
    isSmaller = false;
    for (const candidate of smallerThan(smallest)) {
      const found = await failing(candidate);
      if (!found) continue;
      smallest = found;
      isSmaller = true;
      break;
    }
  }
  return smallest;
}

function* smallerThan(plan: Plan): Generator<Plan> {
  const { visits, faults, workers } = plan;
  const withVisits = (next: readonly Visit[]): Plan => ({
    ...plan,
    visits: next.map((visit) => ({ ...visit, after: Math.min(visit.after, next.indexOf(visit)) })),
  });
  for (const visit of visits) yield withVisits(visits.filter((it) => it !== visit));
  for (const fault of faults) yield { ...plan, faults: faults.filter((it) => it !== fault) };
  if (workers > 1) yield { ...plan, workers: 1 };
  for (const visit of visits) {
    for (const op of visit.ops) {
      const ops = visit.ops.filter((it) => it !== op);
      yield withVisits(visits.map((it) => (it === visit ? { ...visit, ops } : it)));
    }
  }
}
