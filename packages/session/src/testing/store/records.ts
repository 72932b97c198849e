import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  type Case,
  change,
  failsWith,
  HOUR,
  isAbout,
  MINUTE,
  newOwner,
  newRecord,
  SECOND,
  saved,
  sorted,
} from "./case.ts";

const HOSTILE = [
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "0",
  "a.b",
  "a:b",
  "a*[b]?",
  "{a}",
  "$a",
  "%00",
  " a ",
  "a\nb",
  'a"b\\',
  "Ключ",
  "鍵",
  "🔑",
  "e\u0301",
  "\u00e9",
  "A",
  "a",
];

/** A stored value comes back, and nothing else changes. */
export const records: readonly Case[] = [
  {
    name: "S4: what was created is loaded, to the character",
    excused: [],
    async run(at) {
      const values = new Map(HOSTILE.map((name, n) => [name, `${name}=${n}`]));
      const owners = new Set([newOwner(), newOwner()]);
      const record = newRecord({ values, owners, idle: 20 * MINUTE, absolute: 8 * HOUR });
      const key = await at.store.create(at.newKey(), record);
      const loaded = (await at.load(key)).record;
      assert.deepEqual(sorted(loaded.values), sorted(values));
      assert.deepEqual(loaded.owners, owners);
      assert.equal(loaded.publicId, record.publicId);
      assert.equal(loaded.idle, 20 * MINUTE);
      assert.equal(loaded.absolute, 8 * HOUR);
    },
  },
  {
    name: "S4: what was committed is loaded, to the character",
    excused: [],
    async run(at) {
      const set = new Map(HOSTILE.map((name, n) => [name, `${n}=${name}`]));
      const key = await at.commit(await at.create(), { set });
      assert.deepEqual(await at.values(key), sorted(set));
      const emptied = await at.commit(key, { delete: new Set(HOSTILE) });
      assert.deepEqual(await at.values(emptied), []);
    },
  },
  {
    name: "S4: an empty text is not an absent entry",
    excused: [],
    async run(at) {
      const key = await at.create({ values: new Map([["empty", ""]]) });
      assert.deepEqual(await at.values(key), [["empty", ""]]);
      const expectAbsent = change({ expect: new Map([["empty", undefined]]) });
      assert.equal((await at.store.commit(key, expectAbsent)).status, "conflict");
      saved(await at.store.commit(key, change({ expect: new Map([["empty", ""]]) })));
    },
  },
  {
    name: "S4: a text of 100 KB is kept",
    excused: ["large"],
    async run(at) {
      const [created, committed] = [text100KB(), text100KB()];
      const key = await at.create({ values: new Map([["created", created]]) });
      await at.commit(key, { set: new Map([["committed", committed]]) });
      assert.deepEqual(await at.values(key), [
        ["committed", committed],
        ["created", created],
      ]);
    },
  },
  {
    name: "S4: a commit changes the entries that it names and no other",
    excused: [],
    async run(at) {
      const values = new Map([
        ["kept", "1"],
        ["changed", "1"],
        ["deleted", "1"],
      ]);
      const key = await at.create({ values });
      const after = await at.commit(key, {
        set: new Map([
          ["changed", "2"],
          ["added", "2"],
        ]),
        delete: new Set(["deleted", "never there"]),
      });
      assert.deepEqual(await at.values(after), [
        ["added", "2"],
        ["changed", "2"],
        ["kept", "1"],
      ]);
    },
  },
  {
    name: "S4: the longest names that there can be are kept whole",
    excused: [],
    async run(at) {
      // As long as the contract says, in bytes of UTF-8; only the last characters differ.
      const long = (bytes: number, end: string) =>
        "€".repeat(Math.floor((bytes - 1) / 3)) + "x".repeat((bytes - 1) % 3) + end;
      const values = new Map(["a", "b"].map((end) => [long(289, end), end]));
      const owner = newOwner();
      const owners = new Set(["a", "b"].map((end) => owner + long(773 - owner.length, end)));
      const record = newRecord({
        ...{ values, owners, publicId: randomBytes(48).toString("base64url") },
        operation: randomBytes(48).toString("base64url"),
      });
      const key = await at.store.create(at.newKey(), record);
      const loaded = (await at.load(key)).record;
      assert.deepEqual(sorted(loaded.values), sorted(values));
      assert.deepEqual(loaded.owners, owners);
      assert.equal(loaded.publicId, record.publicId);
      if (at.limits.includes("index")) return;
      for (const one of owners) assert.deepEqual(await at.listed(one), [record.publicId]);
      assert.deepEqual(await at.listed([...owners][0]?.slice(0, -1) ?? ""), []);
    },
  },
  {
    name: "S1: a session that became empty stays",
    excused: [],
    async run(at) {
      const key = await at.create({ values: new Map([["only", "1"]]) });
      const emptied = await at.commit(key, { delete: new Set(["only"]) });
      assert.equal(await at.status(emptied), "live");
      const filled = await at.commit(emptied, { set: new Map([["only", "2"]]) });
      assert.deepEqual(await at.values(filled), [["only", "2"]]);
    },
  },
  {
    name: "S4: a commit that changes nothing is saved and changes nothing",
    excused: [],
    async run(at) {
      const key = await at.create({ values: new Map([["a", "1"]]) });
      const before = (await at.load(key)).record;
      const after = (await at.load(await at.commit(key, {}))).record;
      assert.deepEqual(after, before);
    },
  },
  {
    name: "S2: an unknown key is none to load, gone to commit and nothing to destroy",
    excused: [],
    async run(at) {
      const key = `ab.${randomBytes(32).toString("base64url")}`;
      assert.equal(await at.status(key), "none");
      assert.equal((await at.store.commit(key, change({ touch: true }))).status, "gone");
      assert.equal(await at.store.destroy(key), undefined);
      assert.equal(await at.status(key), "none");
    },
  },
  {
    name: "S2: keys, entries and owners are told apart by case",
    excused: [],
    async run(at) {
      const values = new Map([
        ["name", "1"],
        ["NAME", "2"],
      ]);
      const owners = new Set(["user:ada", "user:ADA"]);
      const key = await at.create({ values, owners });
      const { record } = await at.load(key);
      assert.deepEqual(sorted(record.values), sorted(values));
      assert.deepEqual(record.owners, owners);
      assert.equal(await at.status(swapCase(key)), "none");
    },
  },
  {
    name: "S2: create on a key in use fails and leaves the first session as it was",
    excused: ["taken"],
    async run(at) {
      const key = await at.create({ values: new Map([["whose", "first"]]) });
      const before = await at.load(key);
      const second = newRecord({ values: new Map([["whose", "second"]]) });
      await failsWith("ERR_SESSION_KEY_TAKEN", () => at.again.create(key, second));
      assert.deepEqual((await at.load(key)).record, before.record);
    },
  },
  {
    name: "S2: a key is free again when its session has ended",
    excused: ["taken", "revoke"],
    async run(at) {
      const key = await at.create({ values: new Map([["whose", "first"]]) });
      await at.store.destroy(key);
      await at.again.create(key, newRecord({ idle: MINUTE }));
      assert.deepEqual(await at.values(key), []);
      await at.advance(MINUTE + 10 * SECOND);
      await at.store.create(key, newRecord({ values: new Map([["whose", "third"]]) }));
      assert.deepEqual(await at.values(key), [["whose", "third"]]);
    },
  },
  {
    name: "S8: a session begins now, by the store's own clock",
    excused: [],
    async run(at) {
      const { record, now } = await at.load(await at.create());
      isAbout(now - record.createdAt, 0, "the age of a new session");
      assert.equal(record.startedAt, record.createdAt);
      assert.equal(record.seenAt, record.createdAt);
    },
  },
  {
    name: "S5: a record that was handed out never changes",
    excused: [],
    async run(at) {
      const [owner, another] = [newOwner(), newOwner()];
      const values = new Map([["a", "1"]]);
      const owners = new Set([owner]);
      let key = await at.create({ values, owners });
      values.set("a", "changed by the caller");
      owners.clear();
      const { record } = (await at.store.load(key)) as Awaited<ReturnType<typeof at.load>>;
      const before = structuredClone(record);
      assert.deepEqual(sorted(before.values), [["a", "1"]]);
      assert.deepEqual(before.owners, new Set([owner]));

      const set = new Map([["a", "2"]]);
      key = await at.commit(key, { set });
      set.set("a", "changed by the caller");
      assert.deepEqual(await at.values(key), [["a", "2"]]);
      key = await at.commit(key, { delete: new Set(["a"]), addOwners: new Set([another]) });
      key = await at.commit(key, { touch: true, restart: true, idle: HOUR, absolute: HOUR });
      await at.store.destroy(key);
      assert.deepEqual(record, before);
    },
  },
  {
    name: "Store: closing twice is harmless",
    excused: [],
    async run(at) {
      await at.create();
      await at.again.close?.();
      await at.store.close?.();
      await at.store.close?.();
    },
  },
];

const text100KB = () => randomBytes(50_000).toString("hex");

const swapCase = (key: string) =>
  key.replace(/[a-z]/gi, (letter) =>
    letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase(),
  );
