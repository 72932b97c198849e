import { randomOf } from "./world.ts";

export type Op =
  | { readonly do: "set" | "update" | "leave" | "pop" | "renew" | "destroy" | "commit" | "pause" }
  | { readonly do: "login"; readonly user: string }
  | { readonly do: "destroyAll"; readonly user: string };

/** One request that somebody sends, and everything that its handler does. */
export interface Visit {
  readonly id: number;
  /** Who sends it. A thief sends what its victim's cookie jar held when the thief copied it. */
  readonly person: string;
  readonly ops: readonly Op[];
  /** How many visits of the plan must have begun before this one does. */
  readonly after: number;
}

type Fault =
  /** The connection to the store breaks. */
  | "cut"
  /** A worker stands still, and goes on later. */
  | "freeze"
  /** A worker ends, and never comes back. */
  | "crash"
  /** A client goes before it has its response. */
  | "leave"
  /** A client never receives a response that was sent. */
  | "lose"
  /** The store takes longer than its timeout. */
  | "slow"
  /** The store refuses what writes, or what needs more room, for a while. */
  | "locked"
  | "full";

/** Everything of a run that isn't the order of events. */
export interface Plan {
  readonly seed: number;
  readonly onCut: "resend" | "reject";
  readonly faults: readonly Fault[];
  readonly workers: number;
  readonly visits: readonly Visit[];
}

const PEOPLE = ["ada", "bob"];
const FAULTS: readonly (readonly Fault[])[] = [
  [],
  [],
  ["cut"],
  ["cut", "lose"],
  ["freeze"],
  ["slow"],
  ["slow", "cut", "lose"],
  ["leave", "lose"],
  ["locked", "full", "leave"],
  ["crash", "cut", "lose", "leave", "freeze"],
];

/** Returns the plan of a seed. */
export function planOf(seed: number): Plan {
  const random = randomOf(seed ^ 0x5eed);
  const pick = <T>(choices: readonly T[]): T => choices[Math.floor(random() * choices.length)] as T;
  const opOf = (person: string): Op => {
    const kind = random();
    const victim = person.replace("thief of ", "");
    if (kind < 0.22) return { do: "set" };
    if (kind < 0.4) return { do: "update" };
    if (kind < 0.48) return { do: "leave" };
    if (kind < 0.58) return { do: "pop" };
    if (kind < 0.66) return { do: "pause" };
    if (kind < 0.71) return { do: "commit" };
    if (kind < 0.78) return { do: "renew" };
    if (kind < 0.86) return { do: "destroy" };
    if (kind < 0.9) return { do: "destroyAll", user: victim };
    return {
      do: "login",
      user: person === victim ? pick([person, person, `${person} 2`]) : person,
    };
  };
  const people = [...PEOPLE, ...(random() < 0.5 ? [`thief of ${pick(PEOPLE)}`] : [])];
  const count = 4 + Math.floor(random() * 16);
  const visits = Array.from({ length: count }, (_, id): Visit => {
    const person = pick(people);
    const ops = Array.from({ length: 1 + Math.floor(random() * 4) }, () => opOf(person));
    return { id, person, ops, after: Math.max(0, id - Math.floor(random() * 4)) };
  });
  return {
    ...{ seed, visits, workers: 1 + Math.floor(random() * 2) },
    ...{ onCut: pick(["resend", "reject"] as const), faults: pick(FAULTS) },
  };
}

/** Returns the plans with one visit, one fault, one worker or one step of a visit less. */
export function* smallerThan(plan: Plan): Generator<Plan> {
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
