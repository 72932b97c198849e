import { createPubSub } from "@lanai/pubsub";
import { natsPubSub } from "@lanai/pubsub-nats";
import { connect } from "@nats-io/transport-node";
import { NATS_ADDRESS, RETAINED } from "../lib/config.js";

/** Retained subjects: every publish is stored, with an id that stores it once. */
export const open = async () => {
  const connection = await connect({ servers: NATS_ADDRESS });
  const bus = createPubSub({ backend: natsPubSub(connection) });
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
