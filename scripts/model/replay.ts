import assert from "node:assert/strict";
import type { Awaitable, Ended, IndexedStore } from "@lanai/session";
import type { Key } from "@lanai/session/store";

/** A command of a trace and its answer: kind, key, operation, expected count, new key, answer. */
export type Call = readonly string[];

/** What ends sessions by an operation, which a repeat has again. */
interface Ending {
  destroy(key: Key, operation: string): Awaitable<Ended | undefined>;
}

const MINUTE = 60_000;

/** The store's own key for the model's number of one. */
const keyOf = (run: string, n: string | undefined): Key => `ab.${run}-${n}`;

/** What a store answers to a command, in the model's words. */
const answer = async (store: IndexedStore, run: string, call: Call): Promise<string> => {
  const [kind, k, op, expected, to] = call;
  const key = keyOf(run, k);
  const operation = `${run}-${op}`;
  const set = (name: string, text: string) => new Map([[name, text]]);
  switch (kind) {
    case "create": {
      const values = set("d:count", "0");
      const record = { operation, publicId: run, values, owners: new Set([`user:${run}`]) };
      try {
        await store.create(key, { ...record, idle: MINUTE, absolute: 60 * MINUTE });
        return "saved";
      } catch (error) {
        if ((error as { code?: string }).code === "ERR_SESSION_KEY_TAKEN") return "taken";
        throw error;
      }
    }
    case "destroy":
      return (await (store as Ending).destroy(key, operation)) ? "saved" : "none";
    case "set":
      return (await store.commit(key, { operation, set: set(`d:${op}`, "1") })).status;
    case "update": {
      const expect = set("d:count", String(expected));
      const change = { operation, expect, set: set("d:count", String(Number(expected) + 1)) };
      return (await store.commit(key, change)).status;
    }
    case "renew":
      return (await store.commit(key, { operation, renewTo: keyOf(run, to) })).status;
    case "login": {
      const change = { operation, renewTo: keyOf(run, to), userChanged: true as const };
      return (await store.commit(key, change)).status;
    }
    default:
      throw new TypeError(`the model has no ${kind}`);
  }
};

/**
 * Plays a run of the model on a store, and compares each answer.
 *
 * @param comeTwice - Whether a command may come again after the session's end, because its answer was
 * lost. Where none does, the trace's repeats are left out.
 */
export const replay = async (
  store: IndexedStore,
  run: string,
  calls: readonly Call[],
  { comeTwice }: { readonly comeTwice: boolean },
): Promise<void> => {
  const operations = new Set<string>();
  const played: string[] = [];
  for (const call of calls) {
    const due = call.at(-1);
    const isRepeat = operations.has(String(call[2]));
    // A store whose ends have no operation can't know a repeat.
    const knows = comeTwice && (call[0] !== "destroy" || store.destroy.length > 1);
    if (isRepeat && !knows) continue;
    operations.add(String(call[2]));
    const got = await answer(store, run, call);
    played.push(`${call.join(" ")}: ${got}`);
    assert.equal(got, due, played.join("\n"));
  }
};
