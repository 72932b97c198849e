import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { memoryPubSub, type PubSub, type Streams } from "@lanai/pubsub";
import { natsPubSub } from "@lanai/pubsub-nats";
import { redisPubSub } from "@lanai/pubsub-redis";
import type { IndexedStore } from "@lanai/session";
import { redisStore } from "@lanai/session-redis";
import { sqliteStore } from "@lanai/session-sqlite";
import { connect } from "@nats-io/transport-node";
import { Redis } from "ioredis";

export interface Backends {
  readonly store: IndexedStore;
  readonly backend: PubSub & Streams;
  /** Closes the app's own connection. */
  close(): Promise<unknown>;
}

/**
 * Opens what the app stands on. With `REDIS_URL` sessions and messages are in Redis; with `NATS_URL`
 * messages are in NATS JetStream, and sessions in a SQLite file that the processes of one machine
 * share; with neither, sessions are in that file and messages in this process.
 */
export async function openBackends(env: NodeJS.ProcessEnv): Promise<Backends> {
  if (env.REDIS_URL) {
    const redis = new Redis(env.REDIS_URL, {
      // After a failover under a living connection: connect again, and send the command again.
      reconnectOnError: (error) => (error.message.includes("READONLY") ? 2 : false),
    });
    redis.on("error", ({ message }) => console.error(`Redis: ${message}`));
    const [store, backend] = [redisStore(redis), redisPubSub(redis)];
    return { store, backend, close: () => redis.quit() };
  }
  const file = env.SESSIONS ?? join(import.meta.dirname, "../data/sessions.db");
  mkdirSync(dirname(file), { recursive: true });
  const store = sqliteStore(file);
  if (env.NATS_URL) {
    const nats = await connect({ servers: env.NATS_URL, maxReconnectAttempts: -1 });
    return { store, backend: natsPubSub(nats), close: () => nats.close() };
  }
  return { store, backend: memoryPubSub(), close: async () => {} };
}
