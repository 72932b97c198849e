import { createPubSub } from "@lanai/pubsub";
import { natsPubSub } from "@lanai/pubsub-nats";
import { connect } from "@nats-io/transport-node";
import { NATS_ADDRESS } from "../lib/config.js";

export const open = async () => {
  const connection = await connect({ servers: NATS_ADDRESS });
  const bus = createPubSub({ backend: natsPubSub(connection) });
  let last = Promise.resolve();
  return {
    publish(subject, data) {
      last = bus.publish(subject, data);
    },
    flush: () => last,
    subscribe: (subject, onData) => bus.subscribe(subject, onData, { queue: { limit: 1_000_000 } }),
  };
};
