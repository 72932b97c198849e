import { memoryPubSub, type PubSub } from "@lanai/pubsub";
import { natsPubSub } from "@lanai/pubsub-nats";
import { redisPubSub } from "@lanai/pubsub-redis";
import { connect } from "@nats-io/transport-node";
import { Redis } from "ioredis";

export interface OpenedBackend {
  readonly backend: PubSub;
  /** Closes the connection, which is the app's. */
  close(): Promise<unknown>;
}

/** In this process by default; at `redis://…` or `nats://…` otherwise. */
export async function openBackend(url: string | undefined): Promise<OpenedBackend> {
  switch (url?.split(":")[0]) {
    case undefined:
      return { backend: memoryPubSub(), close: async () => {} };
    case "redis": {
      const redis = new Redis(url as string, {
        // After a failover under a living connection: connect again, and send the command again.
        reconnectOnError: (error) => (error.message.includes("READONLY") ? 2 : false),
      });
      return { backend: redisPubSub(redis), close: () => redis.quit() };
    }
    case "nats": {
      const connection = await connect({ servers: url as string, maxReconnectAttempts: -1 });
      return { backend: natsPubSub(connection), close: () => connection.close() };
    }
    default:
      throw new TypeError(`PUBSUB must begin with redis:// or nats://, got ${url}`);
  }
}
