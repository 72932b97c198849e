import { randomOf } from "../world.ts";
import type { BusLinks } from "./bus.ts";

/** What somebody does, or what happens. Pages and workers are named by their numbers, people by names. */
export type Deed =
  | {
      readonly do:
        | "open"
        | "call"
        | "type"
        | "sign in again"
        | "sign out"
        | "leave"
        | "close"
        | "vanish"
        | "sleep";
      readonly page: number;
    }
  | { readonly do: "publish" }
  /** The connection of a page breaks. */
  | {
      readonly do: "lose page";
      readonly page: number;
      /** Not before its room is in this state. Default: `joined`. */
      readonly when?: "joining";
      /** Neither side is told. */
      readonly isUnnoticed?: boolean;
    }
  /** A worker's connection to the bus breaks, for messages or for commands; it notices `ms` later. */
  | {
      readonly do: "lose bus";
      readonly worker: number;
      readonly which: "messages" | "commands";
      readonly ms: number;
    }
  /** For half a minute a worker is sent nothing that the bus retains, and everything else. */
  | { readonly do: "stall"; readonly worker: number }
  /** Nothing is done for some time. */
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "end all" | "remove" | "send"; readonly person: string };

export interface Step {
  readonly id: number;
  readonly deed: Deed;
  /** How many steps of the plan must have begun before this one does. */
  readonly after: number;
  /** Whether it begins at once then, although something else may still happen. */
  readonly isPrompt?: boolean;
}

type Fault =
  /** The connection of a page breaks; sometimes one side doesn't notice. */
  | "cut page"
  /** A connection of a worker to the bus breaks; sometimes it notices late. */
  | "cut bus"
  | "cut store"
  /** A worker stands still, and goes on later. */
  | "freeze"
  /** A worker ends, and another one takes its place. */
  | "crash"
  /** Everything may take longer than any timeout. */
  | "slow";

/** Everything of a run that isn't the order of events. */
export interface Plan {
  readonly seed: number;
  readonly faults: readonly Fault[];
  readonly workers: number;
  readonly bus: BusLinks;
  readonly keys: boolean;
  /** Which messages of the room its stream retains. */
  readonly retained: "all" | "few" | "none";
  readonly pages: readonly { readonly person: string; readonly replay: number }[];
  readonly steps: readonly Step[];
  /** With how many of them it begins as usual, whatever else is possible. Default: 0. */
  readonly setUp?: number;
}

const FAULTS: readonly (readonly Fault[])[] = [
  [],
  [],
  ["cut page"],
  ["cut bus"],
  ["cut page", "cut bus"],
  ["freeze"],
  ["cut page", "freeze"],
  ["slow"],
  ["crash"],
  ["cut page", "cut bus", "cut store", "freeze", "crash"],
];

/** Returns the plan of a seed. */
export function planOf(seed: number): Plan {
  const random = randomOf(seed ^ 0x11fe);
  const pick = <T>(choices: readonly T[]): T => choices[Math.floor(random() * choices.length)] as T;
  const pages = Array.from({ length: 2 + Math.floor(random() * 2) }, (_, at) => ({
    person: at === 0 ? "ada" : pick(["ada", "bob", "bob"]),
    replay: pick([0, 0, 2, 100]),
  }));
  const people = pages.map((it) => it.person);
  const deedOf = (): Deed => {
    const kind = random();
    const page = Math.floor(random() * pages.length);
    const person = pick(people);
    if (kind < 0.4) return { do: "publish" };
    if (kind < 0.64) return { do: "call", page };
    if (kind < 0.69) return { do: "type", page };
    if (kind < 0.75) return { do: "send", person };
    if (kind < 0.81) return { do: "sign in again", page };
    if (kind < 0.83) return { do: "sign out", page };
    if (kind < 0.86) return { do: "end all", person };
    if (kind < 0.89) return { do: "remove", person };
    if (kind < 0.92) return { do: "leave", page };
    if (kind < 0.94) return { do: "close", page };
    if (kind < 0.96) return { do: "vanish", page };
    return { do: "sleep", page };
  };
  const opened = pages.map((_, page): Deed => ({ do: "open", page }));
  const deeds = Array.from({ length: 6 + Math.floor(random() * 18) }, deedOf);
  const steps = [...opened, ...deeds].map(
    (deed, id): Step => ({ id, deed, after: Math.max(0, id - Math.floor(random() * 3)) }),
  );
  return {
    ...{ seed, steps, pages, workers: pick([1, 2, 2]), keys: random() < 0.5 },
    bus: { onCut: pick(["resend", "reject"] as const), lines: pick([1, 2] as const) },
    ...{ retained: pick(["all", "all", "few", "none"] as const), faults: pick(FAULTS) },
  };
}

/** Returns the plans with one step, one fault or one worker less, or with less of something else. */
export function* smallerThan(plan: Plan): Generator<Plan> {
  const { steps, faults, workers, keys, bus, pages } = plan;
  for (const step of steps) {
    const left = steps.filter((it) => it !== step);
    const next = left.map((it, at) => ({ ...it, after: Math.min(it.after, at) }));
    yield { ...plan, steps: next };
  }
  for (const fault of faults) yield { ...plan, faults: faults.filter((it) => it !== fault) };
  if (workers > 1) yield { ...plan, workers: 1 };
  if (keys) yield { ...plan, keys: false };
  if (bus.lines > 1) yield { ...plan, bus: { ...bus, lines: 1 } };
  for (const page of pages) {
    if (page.replay === 0) continue;
    yield { ...plan, pages: pages.map((it) => (it === page ? { ...it, replay: 0 } : it)) };
  }
}
