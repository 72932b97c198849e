import type { Scope } from "./explore.ts";
import type { Op, Plan, Visit } from "./plan.ts";

const signIn: Op = { do: "login", user: "ada" };
const set: Op = { do: "set" };
const update: Op = { do: "update" };
const leave: Op = { do: "leave" };
const pop: Op = { do: "pop" };
const renew: Op = { do: "renew" };
const pause: Op = { do: "pause" };
const commit: Op = { do: "commit" };
const destroy: Op = { do: "destroy" };
const destroyAll: Op = { do: "destroyAll", user: "ada" };
const signInAnother: Op = { do: "login", user: "ada 2" };

/** A visit of ada, for whose beginning so many visits must have begun. */
const visit = (after: number, ...ops: Op[]): Omit<Visit, "id"> => ({ person: "ada", ops, after });
const ofThief = (after: number, ...ops: Op[]): Omit<Visit, "id"> => ({
  ...visit(after, ...ops),
  person: "thief of ada",
});

const planOf = (
  visits: readonly Omit<Visit, "id">[],
  { faults = [], onCut = "resend", workers = 1 }: Partial<Plan> = {},
): Plan => ({
  ...{ seed: 1, faults, onCut, workers },
  visits: visits.map((it, id) => ({ ...it, id })),
});

const two = (first: Op[], second: Op[]) => [
  visit(0, signIn, leave),
  visit(1, ...first),
  visit(1, ...second),
];

/** What is played in every order: a few requests, and one kind of fault at a time. */
export const SCOPES: readonly Scope<Plan>[] = [
  { name: "two updates of one key", plan: planOf(two([update], [update])) },
  { name: "two updates in two processes", plan: planOf(two([update], [update]), { workers: 2 }) },
  { name: "two pops of one message", plan: planOf(two([pop], [pop])) },
  { name: "two writers", plan: planOf(two([set, commit, set], [set])) },
  { name: "a slow writer beside a sign-out", plan: planOf(two([set, pause, set], [destroy])) },
  {
    name: "a slow writer beside an end of all sessions",
    plan: planOf(two([set, pause, set], [destroyAll])),
  },
  { name: "a slow writer beside a renewal", plan: planOf(two([pause, set, update], [renew])) },
  {
    name: "a slow writer beside another user's sign-in",
    plan: planOf(two([pause, set], [signInAnother])),
  },
  { name: "two renewals", plan: planOf(two([renew, set], [renew, set])) },
  { name: "two sign-ins", plan: planOf(two([signIn, set], [signIn, set])) },
  {
    name: "a slow writer beside a visitor's sign-in",
    plan: planOf([visit(0, set), visit(1, pause, set), visit(1, signIn)]),
  },
  {
    name: "an end of all sessions, and a later visit",
    plan: planOf([visit(0, signIn), visit(1, destroyAll), visit(2, set)]),
  },
  {
    name: "a thief with the id of before a sign-in",
    plan: planOf([visit(0, set), ofThief(1), visit(2, signIn), ofThief(2, pause, set)]),
  },
  ...(["resend", "reject"] as const).flatMap((onCut): Scope<Plan>[] => [
    {
      name: `an update while the connection breaks (${onCut})`,
      plan: planOf([visit(0, signIn), visit(1, update)], { faults: ["cut"], onCut }),
    },
    {
      name: `a pop while the connection breaks (${onCut})`,
      plan: planOf([visit(0, signIn, leave), visit(1, pop)], { faults: ["cut"], onCut }),
    },
    {
      name: `a sign-out while the connection breaks (${onCut})`,
      plan: planOf([visit(0, signIn), visit(1, destroy)], { faults: ["cut"], onCut }),
    },
    {
      name: `an end of all sessions while the connection breaks (${onCut})`,
      plan: planOf([visit(0, signIn), visit(1, destroyAll)], { faults: ["cut"], onCut }),
    },
    {
      name: `a renewal while the connection breaks (${onCut})`,
      plan: planOf([visit(0, signIn), visit(1, renew, set)], { faults: ["cut", "lose"], onCut }),
    },
    {
      name: `a store that answers too late (${onCut})`,
      plan: planOf([visit(0, signIn), visit(1, update)], { faults: ["slow"], onCut }),
    },
  ]),
  {
    name: "a client that goes before it has its session",
    plan: planOf([visit(0, signIn), visit(1, update)], { faults: ["leave"] }),
  },
  {
    name: "a worker that stands still",
    plan: planOf([visit(0, signIn), visit(1, update)], { faults: ["freeze"] }),
  },
  {
    name: "a worker that ends",
    plan: planOf([visit(0, signIn), visit(1, update)], { faults: ["crash"], workers: 2 }),
  },
  {
    name: "a database that is locked or full",
    plan: planOf([visit(0, signIn), visit(1, update), visit(2, destroy)], {
      faults: ["locked", "full"],
    }),
  },
];
