import { createPubSub } from "@lanai/pubsub";
import { redisPubSub } from "@lanai/pubsub-redis";
import { RETAINED } from "../lib/config.js";
import { redisClient } from "../lib/redis-client.js";

/** Retained subjects: every publish is stored, once, and sent to those who listen. */
export const open = async () => {
  const bus = createPubSub({ backend: redisPubSub(redisClient()) });
  const { name, maxMsgs } = RETAINED;
  await bus.ensureStream({ name, subjects: [`${name}.>`], maxMsgs });
  let last = Promise.resolve();
  return {
    publish(subject, data) {
      last = bus.publish(`${name}.${subject}`, data);
    },
    flush: () => last,
    subscribe: (subject, onData) =>
      bus.subscribe(`${name}.${subject}`, onData, { queue: { limit: 1_000_000 } }),
  };
};
