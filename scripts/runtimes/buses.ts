import { randomUUID } from "node:crypto";
import { memoryPubSub } from "@lanai/pubsub";
import { pubsubConformance } from "@lanai/pubsub/testing";
import { natsPubSub } from "@lanai/pubsub-nats";
import { redisPubSub } from "@lanai/pubsub-redis";
import { connect } from "@nats-io/transport-node";
import { Redis } from "ioredis";
import { wireOf } from "../../packages/pubsub-redis/test/servers.ts";
import type { Test } from "./report.ts";
import type { Servers } from "./servers.ts";

/** The suite of `@lanai/pubsub/testing`, for all backends; brokers are shared, so none is restarted. */
export const busSuites = (test: Test, servers: Servers): void => {
  pubsubConformance({
    name: "memory",
    test,
    features: { network: false },
    open() {
      let now = Date.now();
      return {
        backend: memoryPubSub({ clock: () => now }),
        advance(ms) {
          now += ms;
        },
      };
    },
  });
  pubsubConformance({
    name: "Redis",
    test,
    features: { restart: false },
    open() {
      const prefix = `${randomUUID()}:`;
      const clients = [new Redis(servers.redis), new Redis(servers.redis)] as const;
      return {
        backend: redisPubSub(clients[0], { prefix }),
        again: redisPubSub(clients[1], { prefix }),
        wire: () => wireOf([{ port: servers.redis }], prefix),
        close() {
          for (const client of clients) client.disconnect();
        },
      };
    },
  });
  pubsubConformance({
    name: "NATS",
    test,
    features: { restart: false },
    async open() {
      const connected = () => connect({ servers: `127.0.0.1:${servers.nats}` });
      const [one, other] = await Promise.all([connected(), connected()]);
      return {
        backend: natsPubSub(one),
        again: natsPubSub(other),
        async wire() {
          const response = await fetch(`${servers.natsMonitor}/connz`);
          const { connections } = (await response.json()) as {
            connections: { subscriptions: number }[];
          };
          return connections.reduce((sum, { subscriptions }) => sum + subscriptions, 0);
        },
        async close() {
          await Promise.all([one.close(), other.close()]);
        },
      };
    },
  });
};
