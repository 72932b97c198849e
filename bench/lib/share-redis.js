// One of several processes that read and write sessions in one Redis: `node share-redis.js <ms>`.
import { createSessions } from "@lanai/session";
import { redisStore } from "@lanai/session-redis";
import { redisClient } from "./redis-client.js";

const AT_ONCE = 64;

const work = async (ms) => {
  const redis = redisClient();
  const sessions = createSessions({ store: redisStore(redis) });
  const ids = await Promise.all(
    Array.from({ length: AT_ONCE }, async (_, n) => {
      const { session } = await sessions.create({ values: { n } });
      return session.id;
    }),
  );
  process.send("ready");
  await new Promise((resolve) => process.once("message", resolve));
  let requests = 0;
  const end = performance.now() + ms;
  const client = async (id) => {
    while (performance.now() < end) {
      const session = await sessions.open(id);
      session.set("n", requests++);
      await session.commit();
    }
  };
  await Promise.all(ids.map(client));
  process.send(requests / (ms / 1000));
  redis.disconnect();
};

work(Number(process.argv[2])).catch((error) => {
  console.error(error);
  process.exit(1);
});
