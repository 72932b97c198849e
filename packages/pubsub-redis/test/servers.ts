import { randomUUID } from "node:crypto";
import type { RedisClient } from "@lanai/pubsub-redis";
import { Cluster, Redis } from "ioredis";
import { Cluster as Cluster5, Redis as Redis5 } from "ioredis5";
import type { RedisServer } from "../../../scripts/services/redis.ts";

export type Client = RedisClient & {
  disconnect(): void;
  on(event: "error", tell: () => void): void;
};

/** Each of them comes back at once when its server does, as quickly as a test wants it. */
const options = { retryStrategy: () => 20 };

export const clients: Record<string, (port: number) => Client> = {
  "Redis, ioredis 5.9": (port) => new Redis5(port, options),
  "Redis, ioredis 6 with a keyPrefix and autopipelining": (port) =>
    new Redis(port, { ...options, keyPrefix: "app:", enableAutoPipelining: true }),
};

export const clusterClients: Record<string, (port: number) => Client> = {
  "Redis Cluster, ioredis 6": (port) => new Cluster([{ port }]),
  "Redis Cluster, ioredis 5.9": (port) => new Cluster5([{ port }]),
};

/** Data that survives `kill`, however sudden. */
export const DURABLE = ["--appendonly", "yes", "--appendfsync", "always"];

export const newPrefix = (): string => `${randomUUID()}:`;

/** What the servers know of channels and patterns, but for those of control. */
export const wireOf = async (
  servers: readonly Pick<RedisServer, "port">[],
  prefix: string,
): Promise<number> => {
  let count = 0;
  for (const { port } of servers) {
    const admin = new Redis(port);
    const channels = (await admin.pubsub("CHANNELS", `*${prefix}*`)) as string[];
    const shards = (await admin.pubsub("SHARDCHANNELS", `*${prefix}*`)) as string[];
    count += channels.filter((it) => !it.endsWith("$streams")).length + shards.length;
    count += Number(await admin.pubsub("NUMPAT"));
    admin.disconnect();
  }
  return count;
};
