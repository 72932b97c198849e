import type { Change, IndexedStore, NewRecord } from "@lanai/session/store";
import { type Random, randomFrom } from "../../testing/chance.ts";
import type { OnCut } from "../link.ts";

/** One call of a store. */
export interface Call {
  readonly method: Exclude<keyof IndexedStore, "limitsOwners" | "carriesData" | "close">;
  readonly args: readonly unknown[];
}

/** One event between workers and a server. Calls are known by their numbers. */
export type Step =
  | { readonly do: "send"; readonly worker: number; readonly call: number }
  /** The server has carried the call out, and its answer is on its way. */
  | { readonly do: "apply"; readonly call: number }
  | { readonly do: "answer"; readonly call: number }
  /**
   * The worker's connections break. Of what the server hasn't carried out, it still has `late` before it.
   * `midway`: the call had had the first of its answers.
   */
  | {
      readonly do: "cut";
      readonly worker: number;
      readonly late: readonly number[];
      readonly midway?: number;
    }
  /** The server carries out what was sent on a connection that has broken since. */
  | { readonly do: "late"; readonly call: number };

export interface Schedule {
  readonly calls: readonly Call[];
  readonly steps: readonly Step[];
  /** What is looked at when all is over. */
  readonly keys: readonly string[];
  readonly owners: readonly string[];
}

/** What of a store and its driver decides which schedules there are. */
export interface Manners {
  readonly onCut: OnCut;
  /** Those that take several round trips and change nothing in the first. */
  readonly inSteps: readonly Call["method"][];
}

const WORKERS = 2;
const MOST_CUTS = 3;
/** As many operations as a store must remember of a session. */
const MOST_CHANGES = 4;

/** Returns the schedule of a seed, whose names no other seed's has. */
export function scheduleOf(seed: number, manners: Manners): Schedule {
  const random = randomFrom(seed);
  const { names, nextCall } = randomCalls(seed, random);
  const calls: Call[] = [];
  const steps: Step[] = [];
  let left = 4 + random(6);
  let cuts = 0;
  const late: number[] = [];
  const workers = Array.from({ length: WORKERS }, (_, number) => ({
    ...{ number, sent: [] as number[], applied: [] as number[] },
  }));
  const isInSteps = (call: number) => manners.inSteps.includes((calls[call] as Call).method);
  const take = (from: number[]): number =>
    from.splice(manners.onCut === "resend" ? 0 : random(from.length), 1)[0] as number;

  for (;;) {
    const possible: (() => void)[] = [];
    for (const { number: worker, sent, applied } of workers) {
      const apply = () => {
        const call = take(sent);
        steps.push({ do: "apply", call });
        applied.push(call);
      };
      const hasRoom = sent.length + applied.length < 3 && ![...sent, ...applied].some(isInSteps);
      if (left > 0 && hasRoom) {
        possible.push(() => {
          const next = nextCall();
          // One that takes several round trips has its connection for itself.
          if (manners.inSteps.includes(next.method) && sent.length + applied.length > 0) return;
          left -= 1;
          steps.push({ do: "send", worker, call: calls.push(next) - 1 });
          sent.push(calls.length - 1);
        });
      }
      if (sent.length > 0) possible.push(apply);
      if (applied.length > 0)
        possible.push(() => void steps.push({ do: "answer", call: take(applied) }));
      if (sent.length + applied.length === 0 || cuts === MOST_CUTS || random(3) > 0) continue;
      possible.push(() => {
        cuts += 1;
        const [only] = sent;
        if (only !== undefined && isInSteps(only) && random(2) === 0) {
          steps.push({ do: "cut", worker, late: [], midway: only });
          if (manners.onCut === "resend") apply();
          else sent.length = 0;
          return;
        }
        const received: number[] = [];
        for (const call of sent) {
          if (random(2) === 0 && !isInSteps(call)) received.push(call);
          else if (manners.onCut === "resend") break;
        }
        steps.push({ do: "cut", worker, late: received });
        late.push(...received);
        if (manners.onCut === "resend") sent.unshift(...applied);
        else sent.length = 0;
        applied.length = 0;
      });
    }
    if (late.length > 0) possible.push(() => void steps.push({ do: "late", call: take(late) }));
    if (possible.length === 0) break;
    possible[random(possible.length)]?.();
  }
  return { calls, steps, ...names };
}

/** Returns a function that makes up calls, and the names that they are about. */
export function randomCalls(
  seed: number,
  random: Random,
): { names: Pick<Schedule, "keys" | "owners">; nextCall: () => Call } {
  const { tag, keys, owners } = namesOf(seed);
  return { names: { keys, owners }, nextCall: callsOf({ tag, keys, owners }, random) };
}

interface Names {
  readonly tag: string;
  readonly keys: readonly string[];
  readonly owners: readonly string[];
}

function namesOf(seed: number): Names {
  const tag = seed.toString(36);
  return {
    tag,
    keys: ["k1", "k2", "k3", "k4"].map((name) => `ab.${tag}${name}`),
    owners: ["ada", "bob"].map((name) => `user:${tag}${name}`),
  };
}

const HOUR = 3_600_000;
const ENDS = ["destroy", "destroyAll", "destroyByPublicId"] as const;
const OTHERS = [
  ...(["create", "create", "load", "commit", "commit", "commit"] as const),
  ...(["list", "commitByPublicId"] as const),
];

/** Returns a function that makes up calls, most of them about what earlier ones have made. */
function callsOf({ tag, keys, owners }: Names, random: Random): () => Call {
  const pick = <T>(items: readonly T[]): T => items[random(items.length)] as T;
  const publicIds: string[] = [];
  let operations = 0;
  let changes = 0;
  /** The keys that may have a session, and as many more as there are names for. */
  let used = 0;
  // No key is ever given to two sessions: where one is asked for that is taken, nothing ends.
  const mayCollide = random(3) === 0;
  const methods: readonly Call["method"][] = mayCollide ? OTHERS : [...OTHERS, ...ENDS];
  const known = () => pick(keys.slice(0, Math.max(1, used)));
  const fresh = (): string | undefined =>
    mayCollide && used > 0 && random(3) === 0
      ? known()
      : (keys[used++] ?? (mayCollide ? known() : undefined));
  const operation = () => `${tag}o${operations++}`;
  const entries = () => new Map([[pick(["x", "y"]), String(random(3))]]);
  const someOwners = () => new Set(random(2) === 0 ? [pick(owners)] : []);

  const record = (): NewRecord => {
    const publicId = `${tag}p${publicIds.length + 1}`;
    publicIds.push(publicId);
    const values = new Map([["x", String(random(3))]]);
    return {
      ...{ operation: operation(), publicId, values, owners: someOwners() },
      ...{ idle: HOUR, absolute: 24 * HOUR },
    };
  };
  const change = (key: string | undefined): Change => {
    changes += 1;
    const renewTo = random(4) === 0 ? fresh() : undefined;
    const isRenewal = renewTo !== undefined;
    return {
      operation: operation(),
      ...(random(3) > 0 && { set: entries() }),
      ...(random(4) === 0 && { delete: new Set([pick(["x", "y"])]) }),
      ...(random(4) === 0 && {
        expect: new Map([["x", pick<string | undefined>(["0", "1", "2", undefined])]]),
      }),
      ...(random(2) === 0 && { touch: true as const }),
      ...(random(5) === 0 && { idle: 2 * HOUR }),
      ...(isRenewal && { renewTo }),
      ...(isRenewal && random(2) === 0 && { userChanged: true as const }),
      ...(random(5) === 0 && { addOwners: new Set([pick(owners)]) }),
      ...(key !== undefined && random(6) === 0 && { removeOwners: new Set([pick(owners)]) }),
    };
  };

  return () => {
    const method = publicIds.length === 0 ? "create" : pick(methods);
    const publicId = publicIds.at(-1) ?? "";
    switch (method) {
      case "create": {
        const key = fresh();
        if (key === undefined) return { method: "load", args: [known()] };
        return { method, args: [key, record()] };
      }
      case "commit":
      case "commitByPublicId": {
        if (changes === MOST_CHANGES) return { method: "load", args: [known()] };
        if (method === "commitByPublicId")
          return { method, args: [pick(owners), pick(publicIds), change(undefined)] };
        const key = known();
        return { method, args: [key, change(key)] };
      }
      case "destroy":
        return { method, args: [known(), operation()] };
      case "destroyAll": {
        const except = random(3) === 0 ? { except: publicId } : {};
        return { method, args: [pick(owners), { ...except, operation: operation() }] };
      }
      case "destroyByPublicId":
        return { method, args: [pick(owners), pick(publicIds), operation()] };
      case "list":
        return { method, args: [pick(owners)] };
      default:
        return { method: "load", args: [known()] };
    }
  };
}

/** What a store decides by its own clock, and what no two stores have alike. */
const INSTANTS = ["createdAt", "startedAt", "seenAt", "now"];

/** Returns a value as a text in which equal ones are equal. */
export function textOf(value: unknown): string {
  const text = JSON.stringify(value, (name, it: unknown) => {
    if (INSTANTS.includes(name)) return undefined;
    if (it instanceof Map) return Object.fromEntries([...it].sort());
    if (it instanceof Set) return [...it].sort();
    if (typeof it === "string" && it.length > 1_000) return `${it.length} characters`;
    if (!Array.isArray(it)) return it;
    return it.every((one) => typeof one === "object") ? it.map(textOf).sort() : it;
  });
  return (text ?? "nothing").replaceAll(/\\*"/g, "");
}

/** Returns a schedule as lines for a person, one for each event, with what each call came to. */
export function linesOf({ calls, steps }: Schedule, outcomes: readonly string[]): string[] {
  const lines = steps.map((step) => {
    switch (step.do) {
      case "send": {
        const { method, args } = calls[step.call] as Call;
        return `worker ${step.worker} sends ${step.call}: ${method} ${args.map(textOf).join(" ")}`;
      }
      case "cut": {
        const more = step.midway === undefined ? "" : `, midway in ${step.midway}`;
        const received = step.late.length > 0 ? `, with ${step.late} still under way` : "";
        return `worker ${step.worker} is cut off${more}${received}`;
      }
      case "apply":
        return `the server carries out ${step.call}`;
      case "answer":
        return `${step.call} is answered`;
      case "late":
        return `the server carries out ${step.call}, which is late`;
    }
    return "";
  });
  return [...lines, ...outcomes];
}
