import type { Result } from "./shrink.ts";
import { type Decisions, outside } from "./world.ts";

/** A decision that a run has asked for. */
interface Point {
  readonly count: number;
  readonly decided: number;
  /** Whether the first is the usual one, so that another is a deviation. */
  readonly hasUsual: boolean;
}

/** Decides as it was told, and as usual from there on; writes down what else could have been decided. */
class Script implements Decisions {
  readonly points: Point[] = [];
  readonly #told: readonly number[];

  constructor(told: readonly number[]) {
    this.#told = told;
  }

  #decide(count: number, hasUsual: boolean): number {
    if (count === 1) return 0;
    const decided = this.#told[this.points.length] ?? 0;
    if (decided >= count) throw new Error("the same decisions have led to another run");
    this.points.push({ count, decided, hasUsual });
    return decided;
  }

  oneOf(count: number): number {
    return this.#decide(count, false);
  }

  next(count: number): number {
    return this.#decide(count, true);
  }

  chance(probability: number): boolean {
    const isUnusual = this.#decide(2, true) === 1;
    return probability > 0.5 !== isUnusual;
  }

  part(): number {
    return 0.5;
  }
}

/** A small plan that is played in every order: it may have broken a law once, or be what a fault needs. */
export interface Scope<Plan> {
  readonly name: string;
  readonly plan: Plan;
}

interface Exploration {
  readonly runs: number;
  /** The first run that has broken a law. */
  readonly broken?: Result;
}

/**
 * Plays every run with at most so many deviations from the usual order, in which what has waited longest
 * comes first and nothing fails (Emmi, Qadeer and Rakamarić, Delay-Bounded Scheduling, POPL 2011). A
 * deviation is an event that comes before its time, one that waits until nothing else happens, a timer
 * that fires early, a visit that begins early, or a fault. What exactly fails is no further deviation: it is
 * every connection, process and part of what was on its way, in turn.
 */
export async function explore(
  run: (decisions: Decisions) => Promise<Result>,
  deviations: number,
): Promise<Exploration> {
  let runs = 0;
  const waiting: (readonly number[])[] = [[]];
  for (let told = waiting.pop(); told; told = waiting.pop()) {
    const script = new Script(told);
    const result = await outside(run, script);
    runs += 1;
    if (result.violations.length > 0) return { runs, broken: result };
    waiting.push(...furtherThan(told.length, script.points, deviations));
  }
  return { runs };
}

/** The decisions that leave a run at one of its points from `from` on. */
function* furtherThan(
  from: number,
  points: readonly Point[],
  most: number,
): Generator<readonly number[]> {
  let deviations = 0;
  const before: number[] = [];
  for (const [at, { count, decided, hasUsual }] of points.entries()) {
    if (at >= from && (!hasUsual || deviations < most)) {
      for (let other = 1; other < count; other++) yield [...before, other];
    }
    if (hasUsual && decided > 0) deviations += 1;
    before.push(decided);
  }
}
