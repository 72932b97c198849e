import { connect } from "@lanai/browser";
import type { Clients } from "@lanai/clients";
import type { Bus } from "@lanai/pubsub";
import { z } from "zod";
import { channel, createChannels, type } from "../src/index.ts";

declare const clients: Clients;
declare const pubsub: Bus;

const channels = createChannels({
  ...{ clients, pubsub },
  channels: {
    "room.:id": channel({
      join: ({ session, params }) => session.userId !== undefined && params.id !== "",
      events: {
        said: { schema: z.object({ text: z.string() }) },
        typing: { schema: type<{ by: string }>(), ephemeral: true },
      },
      calls: {
        say: {
          input: z.object({ text: z.string() }),
          handle: async ({ text }, { publish }) => {
            await publish("said", { text });
            // @ts-expect-error the channel has no such event
            await publish("shouted", { text });
            // @ts-expect-error the payload of another event
            await publish("said", { by: text });
            return { length: text.length };
          },
        },
      },
      presence: ({ session }) => ({ name: session.userId ?? "guest" }),
    }),
    news: channel({ join: () => true, events: { item: { schema: type<{ title: string }>() } } }),
    "team.:team.room.:id": channel({ join: () => true, events: {} }),
  },
});
type Live = typeof channels;

// ── the server ──

void channels.publish("room.:id", { id: "general" }, "said", { text: "x" });
void channels.publish("news", {}, "item", { title: "x" });
void channels.remove({ user: "ada" }, "room.:id", { id: "general" });
// @ts-expect-error no such channel
void channels.publish("rooms.:id", { id: "general" }, "said", { text: "x" });
// @ts-expect-error no such parameter
void channels.publish("room.:id", { name: "general" }, "said", { text: "x" });
// @ts-expect-error a parameter is missing
void channels.publish("team.:team.room.:id", { id: "general" }, "said", {});
// @ts-expect-error no such event
void channels.publish("room.:id", { id: "general" }, "shouted", { text: "x" });
// @ts-expect-error the payload of another event
void channels.publish("room.:id", { id: "general" }, "said", { by: "ada" });
// @ts-expect-error a target is one of four
void channels.remove({ name: "ada" }, "room.:id", { id: "general" });
// @ts-expect-error no such option
createChannels({ clients, pubsub, channels: {}, prefixes: "x" });

// ── the page ──

const line = connect<Live>("/live");
const room = line.join("room.:id", { id: "general" }, { replay: 50 });
room.on("said", ({ text }) => text.toUpperCase());
room.on("typing", ({ by }) => by.toUpperCase());
room.on("gap", ({ reason, count = 0 }) => `${reason} ${count.toFixed()}`);
for (const { id, data } of room.members) `${id} ${data.name.toUpperCase()}`;
const result: Promise<{ length: number }> = room.call("say", { text: "x" });
void result;
line.join("news").on("item", ({ title }) => title.toUpperCase());
line.join("team.:team.room.:id", { team: "a", id: "b" });
// @ts-expect-error no such channel
line.join("rooms.:id", { id: "general" });
// @ts-expect-error no such parameter
line.join("room.:id", { name: "general" });
// @ts-expect-error the parameters are missing
line.join("room.:id");
// @ts-expect-error a parameter is a text
line.join("room.:id", { id: 1 });
// @ts-expect-error no such event
room.on("shouted", () => {});
// @ts-expect-error the payload has no such member
room.on("said", ({ by }) => by);
// @ts-expect-error no such call
void room.call("shout", { text: "x" });
// @ts-expect-error the input of no call
void room.call("say", { words: "x" });
// @ts-expect-error the result is an object
const wrong: Promise<string> = room.call("say", { text: "x" });
void wrong;
// @ts-expect-error no such option
line.join("room.:id", { id: "general" }, { replays: 50 });
