import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Change, NewRecord } from "@lanai/session/store";
import { Client, type PoolConfig } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Database, newTable, quietStore, startDatabase } from "./database.ts";

let database: Database;

beforeAll(async () => {
  database = await startDatabase();
});
afterAll(async () => {
  await database?.[Symbol.asyncDispose]();
});

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const [, section = ""] = readme.split("## The pool\n");
const [listed = ""] = section.split("\n## ");

/** Every option of a `Pool`, with what becomes of the promises under it. */
const options: Record<
  keyof PoolConfig,
  /** Everything works with it. */
  | { readonly harmless: PoolConfig }
  /** Every call rejects, and the README says so. */
  | { readonly refuses: PoolConfig }
  /** The README says what changes; the reason why it isn't tried here. */
  | { readonly listed: string }
> = {
  allowExitOnIdle: { harmless: { allowExitOnIdle: true } },
  application_name: { harmless: { application_name: "app" } },
  Client: { harmless: { Client } },
  client_encoding: { harmless: { client_encoding: "LATIN1" } },
  connectionString: { listed: "says what the others do" },
  connectionTimeoutMillis: { harmless: { connectionTimeoutMillis: 5_000 } },
  database: { listed: "every test gives it" },
  enableChannelBinding: { harmless: { enableChannelBinding: true } },
  fallback_application_name: { harmless: { fallback_application_name: "app" } },
  host: { listed: "every test gives it" },
  idle_in_transaction_session_timeout: { harmless: { idle_in_transaction_session_timeout: 100 } },
  idleTimeoutMillis: { harmless: { idleTimeoutMillis: 1 } },
  keepAlive: { harmless: { keepAlive: true } },
  keepAliveInitialDelayMillis: { harmless: { keepAliveInitialDelayMillis: 10 } },
  lock_timeout: { harmless: { lock_timeout: 1_000 } },
  log: { harmless: { log: () => {} } },
  max: { harmless: { max: 1 } },
  maxLifetimeSeconds: { harmless: { maxLifetimeSeconds: 1 } },
  maxUses: { harmless: { maxUses: 1 } },
  min: { harmless: { min: 2 } },
  onConnect: { harmless: { onConnect: (client) => void client.query("SET lock_timeout = 500") } },
  options: { refuses: { options: "-c default_transaction_read_only=on" } },
  password: { listed: "every test gives it" },
  pipeline: { harmless: { pipeline: true } },
  port: { listed: "every test gives it" },
  Promise: { harmless: { Promise } },
  query_timeout: { harmless: { query_timeout: 5_000 } },
  ssl: { listed: "needs a server with a certificate" },
  sslnegotiation: { listed: "needs a server with a certificate" },
  statement_timeout: { harmless: { statement_timeout: 5_000 } },
  stream: { listed: "pg makes one of its own" },
  types: { harmless: { types: { getTypeParser: () => (text: string) => text } as never } },
  user: { listed: "every test gives it" },
  verify: { harmless: { verify: (_client, done) => done() } },
};

const newKey = (): string => `ab.${randomUUID()}`;

const record = (owner: string): NewRecord => ({
  operation: randomUUID(),
  publicId: randomUUID(),
  // Of more than one encoding: some of it is in LATIN1, some isn't.
  values: new Map([["d:a", '"é€😀"']]),
  owners: new Set([owner]),
  idle: 60_000,
  absolute: 120_000,
});

const change = (given: Partial<Change>): Change => ({ operation: randomUUID(), ...given });

describe.each(Object.entries(options))("the pool's option %s", (name, effect) => {
  test("stands in the README with its effect", () => {
    expect(listed).toContain(`\`${name}\``);
  });

  if ("refuses" in effect) {
    test("makes every write reject", async () => {
      const table = newTable();
      await quietStore(database.pool(), { table }).migrate();
      const store = quietStore(database.pool(effect.refuses), { table });
      await expect(store.create(newKey(), record("user:a"))).rejects.toThrow();
      expect(await store.load(newKey())).toEqual({ status: "none" });
    });
  }

  if ("harmless" in effect) {
    test("leaves every promise as it is", async () => {
      const store = quietStore(database.pool(effect.harmless), { table: newTable() });
      await store.migrate();
      const [key, next] = [newKey(), newKey()];
      const owner = `user:é€😀${key}`;
      const given = record(owner);
      await store.create(key, given);
      const [one, other] = await Promise.all([store.load(key), store.load(newKey())]);
      expect(one).toMatchObject({
        status: "live",
        record: { publicId: given.publicId, idle: 60_000, owners: new Set([owner]) },
        now: expect.any(Number),
      });
      expect(other).toEqual({ status: "none" });
      const set = change({ set: new Map([["d:b", "2"]]), renewTo: next });
      expect(await store.commit(key, set)).toEqual({ status: "saved", key: next });
      expect(await store.commit(key, set)).toEqual({ status: "saved", key: next });
      const [found] = await store.list(owner);
      expect(found).toMatchObject({ publicId: given.publicId, absolute: 120_000 });
      expect(found?.createdAt).toBeGreaterThan(Date.UTC(2020));
      expect(Object.fromEntries(found?.values ?? [])).toEqual({ "d:a": '"é€😀"', "d:b": "2" });
      expect(await store.destroyAll(owner)).toMatchObject([{ publicId: given.publicId }]);
      expect(await store.load(next)).toEqual({ status: "none" });
      expect(await store.sweep()).toBeGreaterThanOrEqual(0);
    });
  }
});
