import { redisClient } from "../lib/redis-client.js";

/** The raw client, JSON payloads, with its automatic pipelines. */
export const open = async () => {
  const client = redisClient({ enableAutoPipelining: true });
  let last = Promise.resolve();
  return {
    publish(subject, data) {
      last = client.publish(`raw:${subject}`, JSON.stringify(data));
    },
    flush: () => last,
    async subscribe(subject, onData) {
      client.on("message", (_channel, text) => onData(JSON.parse(text)));
      await client.subscribe(`raw:${subject}`);
    },
  };
};
