import { connect } from "@nats-io/transport-node";
import { NATS_ADDRESS } from "../lib/config.js";

/** The raw client, JSON payloads. */
export const open = async () => {
  const connection = await connect({ servers: NATS_ADDRESS });
  return {
    publish(subject, data) {
      connection.publish(`app.${subject}`, JSON.stringify(data));
    },
    flush: () => connection.flush(),
    async subscribe(subject, onData) {
      connection.subscribe(`app.${subject}`, {
        callback: (error, message) => {
          if (!error) onData(message.json());
        },
      });
      await connection.flush();
    },
  };
};
