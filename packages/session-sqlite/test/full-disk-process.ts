// What full-disk.test.ts starts, with a small disk of its own in the given folder: fills it by sessions and
// by another program's file, ends every session, and reports what came of it.
import { appendFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { Ended, Key, Loaded } from "@lanai/session/store";
import { type SqliteStore, sqliteStore } from "../src/index.ts";
import { newKey, record } from "./records.ts";

const [folder = "", bytes = "", most = ""] = process.argv.slice(2);
const file = join(folder, "sessions.db");
const ballast = join(folder, "ballast");

/** Two connections, as two processes have them. */
const open = () => [sqliteStore(file), sqliteStore(file)] as const;
let stores: readonly [SqliteStore, SqliteStore] = open();
const storeAt = (n: number) => stores[n % 2 === 0 ? 0 : 1];

interface Session {
  readonly key: Key;
  readonly owner: string;
  readonly publicId: string;
}

let created = 0;

/** Creates sessions until 20 in a row are refused, or `most`; then another program takes what is left. */
async function fill(): Promise<Session[]> {
  const sessions: Session[] = [];
  for (let refused = 0; refused < 20 && sessions.length < Number(most); created++) {
    const [key, owner] = [newKey(), `user:${created % 150}`];
    const session = record({
      owners: new Set([owner]),
      values: new Map([["v", "x".repeat(Number(bytes))]]),
    });
    try {
      await storeAt(created).create(key, session);
      sessions.push({ key, owner, publicId: session.publicId });
      refused = 0;
    } catch {
      refused += 1;
    }
  }
  try {
    for (;;) appendFileSync(ballast, Buffer.alloc(4096));
  } catch {
    // As was meant.
  }
  return sessions;
}

/** Ends each session: by its key, by its public id, or all of a user's at once. */
async function endAll(sessions: readonly Session[]): Promise<{ ended: number; errors: string[] }> {
  const errors = new Set<string>();
  let ended = 0;
  for (const [n, { key, owner, publicId }] of sessions.entries()) {
    const store = storeAt(n);
    if ((await store.load(key)).status === "none") continue;
    try {
      const operation = `end ${publicId}`;
      let all: readonly (Ended | undefined)[];
      if (n % 50 === 49) all = await store.destroyAll(owner, { operation });
      else if (n % 2) all = [await store.destroyByPublicId(owner, publicId, operation)];
      else all = [await store.destroy(key, operation)];
      ended += all.filter((it) => it !== undefined).length;
    } catch (error) {
      errors.add(String(error));
    }
  }
  return { ended, errors: [...errors] };
}

async function live(sessions: readonly Session[]): Promise<number> {
  const loaded = sessions.map(({ key }) => stores[0].load(key) as Loaded);
  return loaded.filter(({ status }) => status === "live").length;
}

/** How long it takes is the store's choice; that it does is not. */
async function takesWritesAgain(): Promise<boolean> {
  for (let tries = 0; tries < 400; tries++) {
    try {
      await stores[1].create(newKey(), record());
      return true;
    } catch {
      await wait(50);
    }
  }
  return false;
}

const first = await fill();
const before = await live(first);
const ends = await endAll(first);
const after = await live(first);
rmSync(ballast);
const recovered = await takesWritesAgain();

// Once more, with a restart while the disk is full.
const second = await fill();
for (const store of stores) store.close();
stores = open();
const restarted = await endAll(second);
const left = await live(second);
rmSync(ballast);

const report = {
  created: first.length,
  before,
  ...ends,
  after,
  recovered,
  createdAgain: second.length,
  endedAgain: restarted.ended,
  errorsAgain: restarted.errors,
  left,
  recoveredAgain: await takesWritesAgain(),
};
for (const store of stores) store.close();
console.log(JSON.stringify(report));
