import { appendFileSync } from "node:fs";
import type { Clients } from "@lanai/clients";
import type { Bus } from "@lanai/pubsub";
import { channel, createChannels, type } from "../../src/index.ts";

/** A room whose messages are numbers, and a call that writes down that it was handled. */
export const declareStorm = (clients: Clients, pubsub: Bus, handledFile: string) =>
  createChannels({
    ...{ clients, pubsub, anonymous: true, nodeInterval: 500 },
    channels: {
      "room.:id": channel({
        join: () => true,
        events: { said: { schema: type<number>() } },
        calls: {
          note: {
            input: type<string>(),
            handle: (id) => {
              appendFileSync(handledFile, `${id}\n`);
              return id;
            },
          },
        },
        presence: ({ session }) => ({ name: session.userId ?? "guest" }),
      }),
    },
  });

export type Storm = ReturnType<typeof declareStorm>;
