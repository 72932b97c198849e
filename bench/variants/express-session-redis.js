// express-session with connect-redis, on the client that it needs.
import { RedisStore } from "connect-redis";
import { createClient } from "redis";
import { REDIS_PORT } from "../lib/config.js";
import { expressApp } from "../lib/express-app.js";
import { expressSession } from "../lib/express-session.js";

export const variant = async () => {
  const client = createClient({ socket: { port: REDIS_PORT } });
  await client.connect();
  return expressApp({
    install: (app) => app.use(expressSession(new RedisStore({ client }))),
  });
};
