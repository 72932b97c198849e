import { isCluster, type RedisClient } from "./client.ts";

type Listen = (event: string, listener: (subject: unknown) => void) => unknown;

/** The part of ioredis that emits events. */
interface Emitter {
  readonly on?: Listen;
  readonly off?: Listen;
  readonly listenerCount?: (event: string) => number;
}

/**
 * Calls `onLost` whenever a connection of the client was lost: of a cluster's client, one to any node.
 *
 * @returns A function that stops it.
 */
export function watchConnections(redis: RedisClient, onLost: () => void): () => void {
  const watched = new Set<Emitter>();
  const watch = (emitter: unknown): void => {
    watched.add(emitter as Emitter);
    (emitter as Emitter).on?.("close", onLost);
  };
  const forget = (emitter: unknown): void => {
    watched.delete(emitter as Emitter);
    (emitter as Emitter).off?.("close", onLost);
    onLost();
  };
  const cluster = redis as Emitter;
  // ioredis emits an error for a reply that no command awaits, and without a listener that ends the process.
  if (cluster.listenerCount?.("error") === 0) cluster.on?.("error", () => {});
  watch(redis);
  if (isCluster(redis)) {
    for (const node of redis.nodes("all")) watch(node);
    cluster.on?.("+node", watch);
    cluster.on?.("-node", forget);
  }
  return () => {
    for (const emitter of watched) emitter.off?.("close", onLost);
    cluster.off?.("+node", watch);
    cluster.off?.("-node", forget);
  };
}
