import type { Scope } from "./explore.ts";
import type { Decisions } from "./world.ts";

/** What a simulation plays, whatever it is about: see `main.ts`. */
export interface Simulation<Plan extends { readonly seed: number }> {
  planOf(seed: number): Plan;
  run(plan: Plan, decisions?: Decisions): Promise<Result>;
  /** Small plans, which are played in every order. */
  readonly scopes: readonly Scope<Plan>[];
  /** The plans with one part less. */
  smallerThan(plan: Plan): Iterable<Plan>;
}

export interface Result {
  readonly violations: readonly string[];
  readonly log: readonly string[];
}

/** The name of the law at the beginning of a violation. */
const lawOf = (violation: string): string => violation.slice(0, violation.indexOf(":"));

/** How many seeds are tried for the order of events of a smaller plan. */
const SEEDS = 12;

/**
 * Returns a plan with fewer steps and fewer faults that breaks the same law. A smaller plan has other
 * orders of events, so that several seeds are tried for each.
 */
export async function shrink<Plan extends { readonly seed: number }>(
  plan: Plan,
  { run, smallerThan }: Pick<Simulation<Plan>, "run" | "smallerThan">,
): Promise<Plan> {
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
