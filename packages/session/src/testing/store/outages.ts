import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { within } from "@lanai/connection/deadline";
import { type IndexedStore, isIndexed } from "../../indexed-store.ts";
import { REFUSALS } from "../../manager/call-store.ts";
import type { Awaitable, Change, Key, NewRecord, Store } from "../../store.ts";
import {
  type Case,
  change,
  eventually,
  HOUR,
  MINUTE,
  newOwner,
  newRecord,
  type Place,
  publicIds,
  SECOND,
  saved,
  sorted,
  times,
} from "./case.ts";

/** The time within which a call must reject during an outage, in milliseconds. */
const PATIENCE = 30 * SECOND;

type Call = readonly [what: string, call: (store: Store) => Awaitable<unknown>];

/** Returns what a call did that should have rejected as unreachable, or `undefined` if it has. */
async function wrongAnswer([what, call]: Call, store: Store): Promise<string | undefined> {
  try {
    const answer = within(PATIENCE, (async () => call(store))(), () => {
      throw new Error("pending");
    });
    const result = await answer;
    const shown = Array.isArray(result) ? `${result.length} sessions` : JSON.stringify(result);
    return `${what} returned ${shown ?? "undefined"}`;
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: unknown };
    if (message === "pending") return `${what} didn't settle within ${PATIENCE} ms`;
    return REFUSALS.has(code) ? `${what} rejected with ${String(code)}` : undefined;
  }
}

/** Every call of the contract: on a session that lives, on its old key, and on an unknown key. */
function everyCall(at: Place, key: Key, old: Key, doomed: Key, record: NewRecord): Call[] {
  const unknown = at.newKey();
  const [owner = ""] = record.owners;
  const calls: Call[] = [
    ["load of a live session", (store) => store.load(key)],
    ["load of a renewed session's old key", (store) => store.load(old)],
    ["load of an unknown key", (store) => store.load(unknown)],
    ["create", (store) => store.create(at.newKey(), newRecord())],
    ["create on a key in use", (store) => store.create(key, newRecord())],
    ["commit", (store) => store.commit(key, change({ set: new Map([["cut", "1"]]) }))],
    ["commit of a renewal", (store) => store.commit(key, change({ renewTo: at.newKey() }))],
    ["commit on an unknown key", (store) => store.commit(unknown, change({ touch: true }))],
    ["destroy", (store) => store.destroy(doomed, `destroy ${doomed}`)],
    ["destroy of an unknown key", (store) => store.destroy(unknown)],
  ];
  const indexed = (call: (store: IndexedStore) => Awaitable<unknown>) => (store: Store) =>
    call(store as IndexedStore);
  const renewal = { ...change(), renewTo: at.newKey() };
  const byIndex: Call[] = [
    ["list", indexed((store) => store.list(owner))],
    ["list of an unknown owner", indexed((store) => store.list(newOwner()))],
    ["destroyByPublicId", indexed((store) => store.destroyByPublicId(newOwner(), "unknown"))],
    ["destroyAll", indexed((store) => store.destroyAll(newOwner()))],
    ["commitByPublicId", indexed((store) => store.commitByPublicId(owner, "unknown", change()))],
    [
      "a renewal by public id",
      indexed((store) => store.commitByPublicId(owner, "unknown", renewal)),
    ],
  ];
  return isIndexed(at.store) ? [...calls, ...byIndex] : calls;
}

/** A login that changes everything at once, and the session that it is for. */
class Login {
  readonly at: Place;
  readonly record: NewRecord = newRecord({
    values: new Map([["a", "1"]]),
    owners: new Set([newOwner()]),
  });
  readonly key: Key;
  readonly renewTo: Key;
  readonly change: Change;

  constructor(at: Place) {
    this.at = at;
    this.key = at.newKey();
    this.renewTo = at.newKey();
    this.change = change({
      set: new Map([
        ["a", "2"],
        ["b", "2"],
      ]),
      renewTo: this.renewTo,
      touch: true,
      addOwners: new Set([newOwner()]),
      removeOwners: this.record.owners,
    });
  }

  /** The visible result: all of the first change, or all of the second, is right. */
  async parts(): Promise<string[]> {
    const { at, key, renewTo } = this;
    const parts = [`the old key is ${await at.status(key)}`];
    const next = await at.store.load(renewTo);
    parts.push(`the new key is ${next.status}`);
    const shown = next.status === "live" ? next : await at.store.load(key);
    if (shown.status === "live") {
      parts.push(`the entries are ${JSON.stringify(sorted(shown.record.values))}`);
    }
    if (!at.limits.includes("index")) {
      const [from = ""] = this.record.owners;
      const [to = ""] = this.change.addOwners ?? [];
      parts.push(`the first owner has ${(await at.listed(from)).length}`);
      parts.push(`the second owner has ${(await at.listed(to)).length}`);
    }
    return parts;
  }

  states(): [before: string[], after: string[]] {
    const isIndexless = this.at.limits.includes("index");
    const owners = (first: number, second: number) =>
      isIndexless ? [] : [`the first owner has ${first}`, `the second owner has ${second}`];
    return [
      [
        "the old key is live",
        "the new key is none",
        `the entries are ${JSON.stringify([["a", "1"]])}`,
        ...owners(1, 0),
      ],
      [
        "the old key is renewed",
        "the new key is live",
        `the entries are ${JSON.stringify(sorted(this.change.set ?? new Map()))}`,
        ...owners(0, 1),
      ],
    ];
  }

  async expectWhole(): Promise<void> {
    let parts: string[] = [];
    const states = this.states().map((state) => state.join(", "));
    // A command that was under way may still be carried out: what is half applied stays so.
    await eventually(
      () => `a login that an outage interrupted was applied by half: ${parts.join(", ")}`,
      async () => {
        parts = await this.parts();
        return states.includes(parts.join(", "));
      },
    );
  }
}

/** Awaits what happens during an outage, and ends the outage whatever comes of it. */
async function healedAfter<T>(at: Place, during: () => Promise<T>): Promise<T> {
  try {
    return await during();
  } finally {
    await at.heal();
  }
}

/** The number of turns of the event loop between the calls and the outage. */
const TURNS = [0, 1, 2, 3, 5, 8, 13, 21];

/** The backend becomes unreachable and comes back; and nothing stays in it for ever. */
export const outages: readonly Case[] = [
  {
    name: "S10: while the backend is unreachable every call rejects, and afterwards works again",
    excused: ["revoke", "renewed"],
    async run(at) {
      if (at.opened.cut === undefined) return;
      const record = newRecord({
        values: new Map([["a", "1"]]),
        owners: new Set([newOwner()]),
      });
      const old = await at.store.create(at.newKey(), record);
      const key = await at.commit(old, { renewTo: at.newKey() });
      const doomed = await at.create();
      const calls = everyCall(at, key, old, doomed, record);

      await at.opened.cut();
      const tried = await healedAfter(at, () =>
        Promise.all(
          [at.store, at.again].flatMap((store) => calls.map((call) => wrongAnswer(call, store))),
        ),
      );
      const wrong = tried.filter((it) => it !== undefined);
      assert.deepEqual(
        [...new Set(wrong)],
        [],
        `${wrong.length} of ${tried.length} calls didn't reject while the backend was unreachable`,
      );

      assert.equal(await at.status(old), "renewed");
      assert.equal((await at.load(key)).record.values.get("a"), "1");
      if (!at.limits.includes("index")) {
        const [owner = ""] = record.owners;
        assert.deepEqual(await at.listed(owner), [record.publicId]);
      }
      await at.commit(key, { set: new Map([["after", "1"]]) });
      assert.equal(await at.status(await at.create()), "live");
      // Whether or not the destroy was carried out, its repeat says what it has ended.
      assert.notEqual(await at.again.destroy(doomed, `destroy ${doomed}`), undefined);
      assert.equal(await at.status(doomed), "none");
    },
  },
  {
    name: "S10: what an outage interrupts is applied whole or not at all, and once if it is repeated",
    excused: ["revoke", "renewed", "repeat"],
    async run(at) {
      const { cut } = at.opened;
      if (cut === undefined) return;
      for (const turns of TURNS) {
        const logins = times(3, () => new Login(at));
        for (const { key, record } of logins) await at.store.create(key, record);
        const born = newRecord({ values: new Map([["a", "1"]]), owners: new Set([newOwner()]) });
        const bornAt = at.newKey();
        const [owner, operation] = [newOwner(), randomUUID()];
        const owned = times(3, () => newRecord({ owners: new Set([owner]) }));
        const ownedKeys: Key[] = [];
        for (const record of owned) ownedKeys.push(await at.store.create(at.newKey(), record));
        const end = async (): Promise<void> => {
          if (at.limits.includes("index")) return;
          const ended = await at.index.destroyAll(owner, { operation });
          assert.deepEqual(
            publicIds(ended),
            publicIds(owned),
            `destroyAll returned ${ended.length} of ${owned.length} sessions`,
          );
        };

        const interrupted = Promise.allSettled([
          ...logins.map(async (login, n) => at.handle(n).commit(login.key, login.change)),
          (async () => at.again.create(bornAt, born))(),
          end(),
        ]);
        for (let n = 0; n < turns; n++) await turn();
        await cut.call(at.opened);
        await healedAfter(at, () => interrupted);

        for (const login of logins) {
          await login.expectWhole();
          assert.equal(saved(await at.again.commit(login.key, login.change)), login.renewTo);
          const [, after] = login.states();
          assert.deepEqual(await login.parts(), after);
        }
        assert.equal(await at.store.create(bornAt, born), bornAt);
        assert.deepEqual(await at.values(bornAt), [["a", "1"]]);
        await end();
        if (at.limits.includes("index")) continue;
        for (const key of ownedKeys) assert.equal(await at.status(key), "none");
        assert.deepEqual(await at.listed([...born.owners][0] as string), [born.publicId]);
      }
    },
  },
  {
    name: "Store: what has expired is deleted, also if nobody asks for it again",
    excused: [],
    async run(at) {
      const { opened } = at;
      if (opened.size === undefined) return;
      const before = await opened.size();
      const created = 10;
      for (let n = 0; n < created; n++) {
        const key = await at.create({
          ...{ idle: MINUTE, absolute: HOUR },
          owners: new Set([newOwner()]),
        });
        if (n === 0) await at.commit(key, { renewTo: at.newKey() });
        if (n === 1) await at.store.destroy(key, randomUUID());
      }
      const full = await opened.size();
      assert.ok(
        full >= before + created - 1,
        `size() went from ${before} to ${full} when ${created - 1} sessions were created that live`,
      );
      // An index may keep an owner until the absolute end of all sessions.
      await at.advance(2 * HOUR);
      let after = full;
      await eventually(
        () =>
          `${after - before} of ${full - before} records are still there 20 s after they expired`,
        async () => {
          await opened.sweep?.();
          after = (await opened.size?.()) ?? 0;
          return after <= before;
        },
      );
    },
  },
];
