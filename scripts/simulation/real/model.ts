import type { IndexedStore } from "@lanai/session/store";
import { Link, type OnCut, type Surroundings } from "../link.ts";
import { watchedStore } from "../watched-store.ts";
import { type Call, type Schedule, type Step, textOf } from "./schedule.ts";

/** What a schedule has shown: a line for each call, and for each key and owner in the end. */
export type Shown = readonly string[];

/** What a wrong model does otherwise. */
export interface Mistake {
  readonly name: string;
  readonly server?: (server: IndexedStore) => IndexedStore;
  readonly steps?: (steps: readonly Step[]) => readonly Step[];
}

/** Events that happen when they are called for. */
class Stage implements Surroundings {
  readonly log: string[] = [];
  readonly now = 1_800_000_000_000;
  readonly sinceBegan = 0;
  isLate = false;
  /** Whether the server has received what a cut leaves, in order. */
  received: boolean[] = [];
  #events: { text: string; run: () => void }[] = [];

  /** Is asked only whether the server has received something. */
  pick<T>(): T {
    return (this.received.shift() ?? false) as T;
  }

  post(text: string, run: () => void): void {
    this.#events.push({ text, run });
  }

  /** Lets an event happen. Of a connection that has broken nothing comes, but what is late. */
  take(text: string): void {
    const those = this.#events.filter((it) => it.text.endsWith(text));
    const event = text.includes("is late") ? those[0] : those.at(-1);
    if (!event) throw new Error(`the model expects no event “${text}”`);
    this.#events = this.#events.filter((it) => it !== event);
    event.run();
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Makes a call of a store, and resolves to what it came to. */
export async function outcomeOf(
  store: object,
  { method, args }: Call,
  name: string = method,
): Promise<string> {
  try {
    const call = (store as Record<string, (...given: readonly unknown[]) => unknown>)[name];
    return textOf(await call?.apply(store, [...args]));
  } catch (error) {
    const code = String((error as { code?: unknown }).code);
    return code.startsWith("ERR_SESSION") ? code : "rejected";
  }
}

/** What a store holds of a schedule's keys and owners. */
export async function stateOf(store: IndexedStore, { keys, owners }: Schedule): Promise<Shown> {
  const loads = keys.map((key): Call => ({ method: "load", args: [key] }));
  const lists = owners.map((owner): Call => ({ method: "list", args: [owner] }));
  return Promise.all(
    [...loads, ...lists].map(async (call) => `${call.args[0]}: ${await outcomeOf(store, call)}`),
  );
}

/** Plays a schedule on the model of a driver and its server. */
export async function playModel(
  schedule: Schedule,
  onCut: OnCut,
  mistake?: Mistake,
): Promise<Shown> {
  const stage = new Stage();
  const { server: right } = watchedStore(stage, onCut);
  const server = mistake?.server?.(right) ?? right;
  const links = new Map<number, Link>();
  const linkOf = (worker: number): Link => {
    const link =
      links.get(worker) ?? new Link(stage, { name: `${worker}`, state: "running" }, onCut);
    links.set(worker, link);
    return link;
  };
  const outcomes: Promise<string>[] = [];
  /** The calls without an answer, in order. */
  const open = new Map<number, { readonly worker: number; isApplied: boolean }>();
  const far = server as unknown as Record<string, (...args: readonly unknown[]) => unknown>;

  for (const step of mistake?.steps?.(schedule.steps) ?? schedule.steps) {
    switch (step.do) {
      case "send": {
        const call = schedule.calls[step.call] as Call;
        const name = `call ${step.call}`;
        const carryOut = () => far[call.method]?.(...call.args);
        outcomes[step.call] = outcomeOf(linkOf(step.worker).to({ [name]: carryOut }), call, name);
        open.set(step.call, { worker: step.worker, isApplied: false });
        break;
      }
      case "apply":
        stage.take(`the server is at call ${step.call}`);
        Object.assign(open.get(step.call) ?? {}, { isApplied: true });
        break;
      case "answer":
        stage.take(`an answer to call ${step.call}`);
        open.delete(step.call);
        break;
      case "late":
        stage.take(`the server is late at call ${step.call}`);
        break;
      case "cut": {
        const cut = [...open].filter(([, { worker }]) => worker === step.worker);
        const sent = cut.filter(([, { isApplied }]) => !isApplied);
        stage.received = sent.map(([call]) => step.late.includes(call));
        linkOf(step.worker).cut();
        for (const [call, it] of cut) {
          it.isApplied = false;
          if (onCut === "reject") open.delete(call);
        }
      }
    }
    await settled();
  }
  const came = await Promise.all(outcomes);
  const state = await stateOf(right, schedule);
  return [...came.map((outcome, call) => `${call}: ${outcome}`), ...state];
}
