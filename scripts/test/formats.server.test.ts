import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as pubsub from "@lanai/pubsub";
import * as pubsubNats from "@lanai/pubsub-nats";
import * as pubsubRedis from "@lanai/pubsub-redis";
import * as session from "@lanai/session";
import * as postgres from "@lanai/session-postgres";
import * as redisSessions from "@lanai/session-redis";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import { Redis } from "ioredis";
import { Pool } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startNats } from "../services/nats.ts";
import { startPostgres } from "../services/postgres.ts";
import { startRedis } from "../services/redis.ts";
import { until } from "../testing/until.ts";
import { VALUES } from "./formats/write.ts";
import {
  moved,
  RETAINED,
  restore,
  type Servers,
  type ServersWritten,
  STREAM,
  writeServers,
} from "./formats/write-servers.ts";

const FIXTURE = join(import.meta.dirname, "formats/e0bcc68-servers.json");
const packages = {
  ...{ session, redis: redisSessions, postgres },
  ...{ pubsub, pubsubRedis, pubsubNats },
};

let servers: readonly { stop(): Promise<void> }[];
let redis: Redis;
let pool: Pool;
let nats: NatsConnection;
let today: ServersWritten;

beforeAll(async () => {
  const started = await Promise.all([startRedis(), startPostgres(), startNats()]);
  servers = started;
  const [{ port }, { connection }, broker] = started;
  redis = new Redis(port);
  pool = new Pool(connection);
  nats = await connect({ servers: `127.0.0.1:${broker.port}` });
  await clear({ redis, pool, nats });
  today = await writeServers(packages, { redis, pool, nats });
});
beforeEach(() => clear({ redis, pool, nats }));
afterAll(async () => {
  redis?.disconnect();
  pool?.on("error", () => {});
  await Promise.all([pool?.end(), nats?.close()]);
  await Promise.all(servers?.map((it) => it.stop()) ?? []);
});

async function clear(it: Servers): Promise<void> {
  await it.redis.flushall();
  await it.pool.query("DROP TABLE IF EXISTS lanai_sessions, lanai_sessions_renewed");
  await it.nats.request(`$JS.API.STREAM.DELETE.${STREAM.name}`, "");
}

/** Reads a session by today's code, changes it, and reads it again. */
async function read(store: session.IndexedStore, { id, oldKey }: { id: string; oldKey: string }) {
  expect(await store.load(oldKey)).toMatchObject({ status: "renewed" });
  const sessions = session.createSessions({ store, idleTimeout: 3_600_000 });
  const found = await sessions.open(id);
  expect(found).toMatchObject({ userId: "ada", owners: new Set(["user:ada", "team:blue"]) });
  expect(Object.fromEntries(found?.entries() ?? [])).toEqual(VALUES);
  found?.set("marked", true);
  await found?.commit();
  const listed = await sessions.list({ owner: "team:blue" });
  expect(listed.map(({ publicId }) => publicId)).toEqual([found?.publicId]);
  const again = await sessions.open(id);
  expect(Object.fromEntries(again?.entries() ?? [])).toEqual({ ...VALUES, marked: true });
  expect(await sessions.destroyAll({ user: "ada" })).toBe(1);
  expect(await sessions.open(id)).toBeUndefined();
}

/** Follows the stream of the fixtures from its beginning, and a subject that isn't retained. */
async function follow(backend: pubsub.PubSub & pubsub.Streams, arrive: () => Promise<void>) {
  const bus = pubsub.createPubSub({ backend });
  const seen: unknown[] = [];
  const plain: unknown[] = [];
  const gaps: unknown[] = [];
  await bus.ensureStream(STREAM);
  await bus.subscribe("chat.*", (data) => void seen.push(data), {
    replay: 10,
    onGap: (gap) => void gaps.push(gap),
  });
  await bus.subscribe("news", (data) => void plain.push(data));
  await arrive();
  await bus.publish("chat.lobby", { text: "today" });
  await until(() => {
    expect(seen).toEqual([...RETAINED, { text: "today" }]);
    expect(plain).toEqual([{ text: "plain" }]);
  });
  expect(gaps).toEqual([]);
  await bus.close();
}

test("a session that a later version has written to Redis is damaged, not misread", async () => {
  const { keys, id } = moved(today, Date.now() - 1_000 - today.writtenAt).redis;
  await restore(redis, keys);
  const store = redisSessions.redisStore(redis);
  const sessions = session.createSessions({ store });
  const [found] = keys.filter(({ value }) => "hash" in value && "m" in value.hash);
  await redis.hset(found?.key ?? "", "m", `v2 ${await redis.hget(found?.key ?? "", "m")}`);
  await expect(sessions.open(id)).rejects.toMatchObject({ code: "ERR_SESSION_DECODE" });
});

describe.each<[string, () => ServersWritten]>([
  ["by commit e0bcc68", () => JSON.parse(readFileSync(FIXTURE, "utf8"))],
  ["today", () => today],
])("what was written %s", (_when, written) => {
  /** As if it had been written a second ago. */
  const fresh = () => moved(written(), Date.now() - 1_000 - written().writtenAt);

  test("in Redis is read, listed, written on and ended", async () => {
    const { keys, ...its } = fresh().redis;
    await restore(redis, keys);
    await read(redisSessions.redisStore(redis), its);
  });

  test("in PostgreSQL is read, listed, written on and ended", async () => {
    const { schema, rows, ...its } = fresh().postgres;
    await pool.query(schema);
    for (const [table, all] of Object.entries(rows)) {
      for (const row of all) {
        const columns = Object.keys(row).join(", ");
        const from = `json_populate_record(NULL::${table}, $1)`;
        await pool.query(`INSERT INTO ${table} (${columns}) SELECT ${columns} FROM ${from}`, [
          JSON.stringify(row),
        ]);
      }
    }
    const store = postgres.postgresStore(pool, { sweepInterval: Infinity });
    await store.migrate();
    await read(store, its);
    store.close?.();
  });

  test("in a stream of Redis and on its channels is delivered in order, without a gap", async () => {
    const { keys, sent } = fresh().pubsubRedis;
    await restore(redis, keys);
    await follow(pubsubRedis.redisPubSub(redis), async () => {
      for (const { subject, text } of sent) {
        const [, id, , data] = /^\S+ (\S+) (\S+)\n(.*)$/s.exec(text) ?? [];
        // Its script stores what it sends.
        if (id && data) {
          const [ms = "", count = ""] = id.split("-");
          await redis.xadd("lanai:stream:{chat}", id, "s", "chat.lobby", "d", data);
          await redis.hset("lanai:stream:{chat}:meta", { last: ms, count });
        }
        await redis.publish(subject, text);
      }
    });
  });

  test("in a stream of NATS and on its subjects is delivered in order, without a gap", async () => {
    const { config, stored, sent } = written().pubsubNats;
    await nats.request(`$JS.API.STREAM.CREATE.${STREAM.name}`, JSON.stringify(config));
    const store = async ({ subject, text, headers: fields }: (typeof stored)[number]) => {
      const made = headers();
      for (const [name, value] of Object.entries(fields)) made.set(name, value);
      await nats.request(subject, text, { headers: made, timeout: 5_000 });
    };
    const [first, second, third] = stored;
    for (const message of [first, second]) if (message) await store(message);
    await follow(pubsubNats.natsPubSub(nats), async () => {
      if (third) await store(third);
      for (const { subject, text } of sent) nats.publish(subject, text);
    });
  });
});
