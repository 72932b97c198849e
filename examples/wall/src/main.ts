import { createPubSub } from "@lanai/pubsub";
import { sse } from "@lanai/sse";
import { wall } from "./app.ts";
import { openBackend } from "./backend.ts";

const { backend, close } = await openBackend(process.env.PUBSUB);
const bus = createPubSub({ backend });
await bus.ensureStream({ name: "wall", subjects: ["wall.>"], maxMsgs: 1_000 });

const events = sse();
const server = wall(bus, events).listen(Number(process.env.PORT ?? 3000));

const stop = async (): Promise<void> => {
  server.close();
  await events.close();
  await bus.close();
  await close();
};

process.once("SIGTERM", () => void stop());
