import type { Scope } from "../explore.ts";
import type { Deed, Plan } from "./plan.ts";

const open: Deed = { do: "open", page: 0 };
const openOther: Deed = { do: "open", page: 1 };
const publish: Deed = { do: "publish" };
const call: Deed = { do: "call", page: 0 };
const remove: Deed = { do: "remove", person: "ada" };
const endAll: Deed = { do: "end all", person: "ada" };
const signOut: Deed = { do: "sign out", page: 0 };
const losePage: Deed = { do: "lose page", page: 0 };
const vanish: Deed = { do: "vanish", page: 0 };
const stall: Deed = { do: "stall", worker: 0 };
const wait = (ms: number): Deed => ({ do: "wait", ms });
const loseBus = (which: "messages" | "commands", ms: number): Deed => ({
  ...{ do: "lose bus", worker: 0, which, ms },
});

/** Deeds that begin with the one before them. */
const PROMPT: ReadonlySet<Deed> = new Set([remove, endAll, signOut]);

/** Every other deed begins when the one before it has begun and nothing else happens, if not earlier. */
const planOf = (deeds: readonly Deed[], more: Partial<Plan> = {}): Plan => ({
  ...{ seed: 1, faults: [], workers: 1, keys: false, retained: "all" },
  bus: { onCut: "resend", lines: 1 },
  pages: [{ person: "ada", replay: 0 }],
  steps: deeds.map((deed, id) => ({ id, deed, after: id, isPrompt: PROMPT.has(deed) })),
  setUp: 1,
  ...more,
});
const peopleWith = (replay: number) => ["ada", "bob"].map((person) => ({ person, replay }));
const TWO_PAGES = { pages: peopleWith(0), setUp: 2 };

/** What is played in every order: a page or two, and one kind of fault at a time. */
export const SCOPES: readonly Scope<Plan>[] = [
  { name: "a page that loses its connection", plan: planOf([open, publish, losePage, publish]) },
  {
    name: "a page whose connection is silent",
    plan: planOf([open, { ...losePage, isUnnoticed: true }, publish]),
  },
  {
    name: "a page that comes back to a process that is behind",
    plan: planOf(
      // The first page comes back to the process of the other one.
      [open, openOther, stall, publish, losePage, losePage, publish],
      { ...TWO_PAGES, workers: 2 },
    ),
  },
  {
    name: "a page that waits to join again, and loses its connection",
    plan: planOf(
      [
        // It is refused three times. Its connection is back before it asks for the fourth time, and the
        // bus just before that.
        ...[open, publish, losePage, loseBus("messages", 21_558), wait(17_944)],
        ...[{ ...losePage, when: "joining" } as const, publish, publish],
      ],
      { seed: 2, bus: { onCut: "resend", lines: 2 } },
    ),
  },
  {
    name: "a page that opens while somebody publishes",
    plan: planOf([publish, open, publish], { pages: [{ person: "ada", replay: 100 }] }),
  },
  {
    name: "a page that asks for messages that nothing retains",
    plan: planOf([open, openOther, publish, losePage, publish], {
      ...{ pages: peopleWith(100), setUp: 2, retained: "none" },
    }),
  },
  {
    name: "a call, and a connection that is lost",
    plan: planOf([open, call, losePage, publish], { workers: 2 }),
  },
  {
    name: "a call while connections are cut",
    plan: planOf([open, call, publish], { workers: 2, faults: ["cut page"] }),
  },
  { name: "a removal", plan: planOf([open, publish, remove, publish], { workers: 2 }) },
  { name: "a call beside an end of all sessions", plan: planOf([open, call, endAll, publish]) },
  { name: "a call beside a sign-out", plan: planOf([open, call, signOut, publish]) },
  { name: "two people", plan: planOf([open, openOther, publish], { ...TWO_PAGES, setUp: 1 }) },
  {
    name: "somebody comes, and nobody can be told of it",
    plan: planOf([open, openOther, loseBus("commands", 5_000), publish], {
      ...TWO_PAGES,
      workers: 2,
      bus: { onCut: "reject", lines: 2 },
    }),
  },
  {
    name: "somebody goes while a process hears nothing",
    plan: planOf(
      [open, openOther, wait(1_000), publish, loseBus("messages", 5_000), vanish, publish],
      { ...TWO_PAGES, workers: 2, bus: { onCut: "resend", lines: 2 } },
    ),
  },
  { name: "a bus that is cut", plan: planOf([open, publish, publish], { faults: ["cut bus"] }) },
  {
    name: "a process that stands still",
    plan: planOf([open, publish, publish, publish], { faults: ["freeze"] }),
  },
];
