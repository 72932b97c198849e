import { createPubSub } from "@lanai/pubsub";
import { redisPubSub } from "@lanai/pubsub-redis";
import { redisClient } from "../lib/redis-client.js";

export const open = async () => {
  const bus = createPubSub({ backend: redisPubSub(redisClient()) });
  let last = Promise.resolve();
  return {
    publish(subject, data) {
      last = bus.publish(subject, data);
    },
    flush: () => last,
    subscribe: (subject, onData) => bus.subscribe(subject, onData, { queue: { limit: 1_000_000 } }),
  };
};
