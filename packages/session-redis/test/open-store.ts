import type { IndexedStore } from "@lanai/session";
import { redisStore } from "@lanai/session-redis";
import { Cluster, Redis } from "ioredis";

export interface Address {
  readonly port: number;
  readonly prefix: string;
  readonly cluster?: boolean;
}

/** The store as a process of its own opens it. */
export function openStore(address: unknown): IndexedStore {
  const { port, prefix, cluster } = address as Address;
  const redis = cluster ? new Cluster([{ port, host: "127.0.0.1" }]) : new Redis(port);
  return { ...redisStore(redis, { prefix }), close: () => redis.disconnect() };
}
