import { natsPubSub } from "@lanai/pubsub-nats";
import { redisPubSub } from "@lanai/pubsub-redis";
import { redisStore } from "@lanai/session-redis";
import { connect } from "@nats-io/transport-node";
import { Redis } from "ioredis";
import { startSite } from "./site.ts";

/** One process of an app with several, for tests: it prints its address, and what it is told. */
const { store, bus, port, options } = JSON.parse(process.argv[2] ?? "{}");

const quiet = (redis: Redis): Redis => redis.on("error", () => {});
const pubsub =
  bus === "nats"
    ? natsPubSub(await connect({ port, maxReconnectAttempts: -1, reconnectTimeWait: 100 }))
    : redisPubSub(quiet(new Redis({ port, retryStrategy: () => 100 })));
const site = await startSite({
  store: redisStore(quiet(new Redis({ port: store }))),
  pubsub,
  ...options,
  route: async (ctx) => {
    const user = String(ctx.query.user);
    if (ctx.path === "/terminate") ctx.body = await site.clients.terminate({ user });
    if (ctx.path === "/presence") ctx.body = site.clients.presence({ user });
    if (ctx.path === "/send") ctx.body = await site.clients.send({ user }, "notice", "hello");
  },
});
const say = (word: string, data: unknown) => console.log(JSON.stringify([word, data]));
for (const name of ["join", "leave", "empty"] as const) {
  site.clients.on(name, (event) => say(name, event));
}
say("url", site.url);
