import { channel, createChannels, type } from "@lanai/channels";
import { createClients } from "@lanai/clients";
import { createPubSub } from "@lanai/pubsub";
import { redisPubSub } from "@lanai/pubsub-redis";
import { createSessions, memoryStore } from "@lanai/session";
import { Redis } from "ioredis";

/** The channels of the app, from a module that the server imports too. */
const declared = {
  "news.:topic": channel({
    join: ({ session }) => session.userId !== undefined,
    events: { published: { schema: type<{ title: string }>() } },
  }),
};

// The same broker and prefix as the server's. Nobody visits a job, so its sessions stay empty.
const redis = new Redis(process.env.REDIS_URL ?? "redis://127.0.0.1:6379");
const bus = createPubSub({ backend: redisPubSub(redis) });
const clients = createClients({
  sessions: createSessions({ store: memoryStore() }),
  pubsub: bus,
});
const channels = createChannels({ clients, pubsub: bus, channels: declared });

// If the job is run again within two minutes, the same messageId is stored and delivered once.
const [, , title = "Aloha", messageId = "news-1"] = process.argv;
await channels.publish("news.:topic", { topic: "island" }, "published", { title }, { messageId });

// In this order. With the last connection closed, the process ends.
await clients.close();
await channels.close();
await bus.close();
await redis.quit();
