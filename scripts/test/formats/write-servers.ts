import { createHash } from "node:crypto";
import type * as pubsub from "@lanai/pubsub";
import type * as pubsubNats from "@lanai/pubsub-nats";
import type * as pubsubRedis from "@lanai/pubsub-redis";
import type * as session from "@lanai/session";
import type * as postgres from "@lanai/session-postgres";
import type * as redisSessions from "@lanai/session-redis";
import type { NatsConnection } from "@nats-io/transport-node";
import type { Redis } from "ioredis";
import type { Pool } from "pg";
import { begin, type Note } from "./write.ts";

/** The packages that write to servers: today's, or those of an older commit. */
export interface ServerPackages {
  readonly session: Pick<typeof session, "createSessions">;
  readonly redis: Pick<typeof redisSessions, "redisStore">;
  readonly postgres: Pick<typeof postgres, "postgresStore">;
  readonly pubsub: Pick<typeof pubsub, "createPubSub">;
  readonly pubsubRedis: Pick<typeof pubsubRedis, "redisPubSub">;
  readonly pubsubNats: Pick<typeof pubsubNats, "natsPubSub">;
}

/** Empty servers, to which nobody else writes. */
export interface Servers {
  readonly redis: Redis;
  readonly pool: Pool;
  readonly nats: NatsConnection;
}

/** The contents of a key of Redis. */
export interface RedisKey {
  readonly key: string;
  readonly ttl: number;
  readonly value:
    | { readonly hash: Readonly<Record<string, string>> }
    | { readonly zset: readonly string[] }
    | { readonly stream: readonly (readonly [id: string, fields: readonly string[]])[] }
    | { readonly text: string };
}

/** A session in a store, by today's id and by the one that it had before. */
interface StoredSession {
  readonly id: string;
  readonly oldKey: string;
}

export interface ServersWritten {
  /** When it was written, by the clock of the servers. */
  readonly writtenAt: number;
  readonly redis: StoredSession & { readonly keys: readonly RedisKey[] };
  readonly postgres: StoredSession & {
    readonly schema: string;
    readonly rows: Readonly<Record<string, readonly object[]>>;
  };
  readonly pubsubRedis: {
    /** What is there after two messages. */
    readonly keys: readonly RedisKey[];
    /** What was sent on channels: a third message of the stream, and one that isn't retained. */
    readonly sent: readonly Note[];
  };
  readonly pubsubNats: {
    readonly config: object;
    readonly stored: readonly (Note & { readonly headers: Readonly<Record<string, string>> })[];
    readonly sent: readonly Note[];
  };
}

const TABLES = ["lanai_sessions", "lanai_sessions_renewed"];
export const STREAM = { name: "chat", subjects: ["chat.>"], maxMsgs: 100 };
export const RETAINED = [{ text: "one, 💬" }, { text: "two" }, { text: "three" }];

export async function writeServers(
  { session, ...packages }: ServerPackages,
  { redis, pool, nats }: Servers,
): Promise<ServersWritten> {
  const writtenAt = Date.now();
  const stored = async (store: session.Store): Promise<StoredSession> => {
    const { its } = await begin(session, { store, absoluteTimeout: 86_400_000 });
    const { id: old = "" } = its;
    its.addOwner("team:blue");
    await its.commit();
    its.renewId();
    await its.commit();
    const { id = "" } = its;
    return { id, oldKey: keyOf(old) };
  };

  const inRedis = await stored(packages.redis.redisStore(redis));
  const keys = await dump(redis);
  await redis.flushall();

  const store = packages.postgres.postgresStore(pool, { sweepInterval: Infinity });
  await store.migrate();
  const inPostgres = await stored(store);
  const rows: Record<string, object[]> = {};
  for (const table of TABLES) {
    const found = await pool.query(`SELECT to_jsonb(t) - 'expires_at' AS row FROM ${table} t`);
    rows[table] = found.rows.map(({ row }) => row);
  }
  const { schema } = store;
  store.close?.();

  return {
    writtenAt,
    redis: { ...inRedis, keys },
    postgres: { ...inPostgres, schema, rows },
    pubsubRedis: await writeRedisStream(packages, redis),
    pubsubNats: await writeNatsStream(packages, nats),
  };
}

async function writeRedisStream(
  { pubsub: { createPubSub }, pubsubRedis: { redisPubSub } }: Omit<ServerPackages, "session">,
  redis: Redis,
): Promise<ServersWritten["pubsubRedis"]> {
  const bus = createPubSub({ backend: redisPubSub(redis) });
  const listener = redis.duplicate();
  const sent: Note[] = [];
  listener.on("pmessage", (_pattern, subject, text) => sent.push({ subject, text }));
  await listener.psubscribe("*");
  await bus.ensureStream(STREAM);
  const [first, second, third] = RETAINED;
  for (const message of [first, second]) await bus.publish("chat.lobby", message);
  const keys = await dump(redis);
  sent.length = 0;
  await bus.publish("chat.lobby", third);
  await bus.publish("news", { text: "plain" });
  while (sent.length < 2) await new Promise(setImmediate);
  await bus.close();
  listener.disconnect();
  return { keys, sent };
}

async function writeNatsStream(
  { pubsub: { createPubSub }, pubsubNats: { natsPubSub } }: Omit<ServerPackages, "session">,
  nats: NatsConnection,
): Promise<ServersWritten["pubsubNats"]> {
  const bus = createPubSub({ backend: natsPubSub(nats) });
  const stored: ServersWritten["pubsubNats"]["stored"][number][] = [];
  const sent: Note[] = [];
  const subscription = nats.subscribe(">", {
    callback: (_error, message) => {
      const { subject, headers } = message;
      const text = message.string();
      if (subject.endsWith("news")) sent.push({ subject, text });
      if (!subject.endsWith("chat.lobby")) return;
      const fields = Array.from(headers ?? [], ([name, [value = ""]]) => [name, value]);
      stored.push({ subject, text, headers: Object.fromEntries(fields) });
    },
  });
  await bus.ensureStream(STREAM);
  const { config } = await nats
    .request("$JS.API.STREAM.NAMES", "")
    .then((names) => nats.request(`$JS.API.STREAM.INFO.${names.json<Names>().streams[0]}`, ""))
    .then((info) => info.json<{ config: object }>());
  for (const message of RETAINED) await bus.publish("chat.lobby", message);
  await bus.publish("news", { text: "plain" });
  await nats.flush();
  subscription.unsubscribe();
  await bus.close();
  return { config, stored, sent };
}

interface Names {
  readonly streams: readonly string[];
}

/** The key of a session's id: see `Key` of `@lanai/session/store`. */
const keyOf = (id: string): string =>
  `${id.slice(0, 2)}.${createHash("sha256").update(id).digest("base64url")}`;

async function dump(redis: Redis): Promise<RedisKey[]> {
  const keys = (await redis.keys("*")).sort();
  return Promise.all(
    keys.map(async (key) => ({
      key,
      ttl: await redis.pttl(key),
      value: await contentsOf(redis, key),
    })),
  );
}

async function contentsOf(redis: Redis, key: string): Promise<RedisKey["value"]> {
  switch (await redis.type(key)) {
    case "hash":
      return { hash: await redis.hgetall(key) };
    case "zset":
      return { zset: await redis.zrange(key, "0", "-1", "WITHSCORES") };
    case "stream":
      return { stream: await redis.xrange(key, "-", "+") };
    default:
      return { text: (await redis.get(key)) ?? "" };
  }
}

/** Writes back what was dumped. */
export async function restore(redis: Redis, keys: readonly RedisKey[]): Promise<void> {
  for (const { key, ttl, value } of keys) {
    if ("hash" in value) await redis.hset(key, value.hash);
    else if ("text" in value) await redis.set(key, value.text);
    else if ("stream" in value) {
      for (const [id, fields] of value.stream) await redis.xadd(key, id, ...fields);
    } else {
      for (let n = 0; n < value.zset.length; n += 2) {
        const [member = "", score = ""] = value.zset.slice(n, n + 2);
        await redis.zadd(key, score, member);
      }
    }
    if (ttl > 0) await redis.pexpire(key, ttl);
  }
}

/** The same with all instants later: those of 13 digits, wherever they are. */
export const moved = <T>(written: T, ms: number): T =>
  JSON.parse(
    JSON.stringify(written).replace(/(?<!\d)1[78]\d{11}(?!\d)/g, (it) => `${Number(it) + ms}`),
  );
