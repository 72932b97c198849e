import { type RedisPubSubOptions, redisPubSub } from "@lanai/pubsub-redis";
import { Redis } from "ioredis";

export { listen } from "../../pubsub/test/listen.ts";

/** A call that should succeed may take a busy machine so long. */
export const PATIENT = { timeout: 60_000 } as const;

/** A patient backend on a port of loopback, and the client that it was given. */
export const openBackend = (port: number, options: RedisPubSubOptions = {}) => {
  const client = new Redis(port, { retryStrategy: () => 20 });
  client.on("error", () => {});
  const backend = redisPubSub(client, { ...PATIENT, ...options });
  return {
    client,
    backend,
    async [Symbol.asyncDispose]() {
      await backend.close();
      client.disconnect();
    },
  };
};

export const numbers = (first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, n) => `${first + n}`);
