import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { NATS_ADDRESS, RETAINED } from "../lib/config.js";

/** The raw client's JetStream: publishes that are stored, an ordered consumer. */
export const open = async () => {
  const connection = await connect({ servers: NATS_ADDRESS });
  const { name, maxMsgs } = RETAINED;
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name, subjects: [`app.${name}.>`], max_msgs: maxMsgs });
  const client = jetstream(connection);
  let last = Promise.resolve();
  return {
    publish(subject, data) {
      last = client.publish(`app.${name}.${subject}`, JSON.stringify(data));
    },
    flush: () => last,
    async subscribe(subject, onData) {
      const consumer = await client.consumers.get(name, {
        filter_subjects: `app.${name}.${subject}`,
        deliver_policy: "new",
      });
      await consumer.consume({ max_messages: 1024, callback: (message) => onData(message.json()) });
    },
  };
};
