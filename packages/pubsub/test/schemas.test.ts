import { createPubSub, type StandardSchema } from "@lanai/pubsub";
import { type } from "arktype";
import * as v from "valibot";
import { describe, expect, test } from "vitest";
import { z } from "zod";

interface Chat {
  user: string;
  text: string;
}

const schemas: readonly (readonly [string, StandardSchema<Chat>])[] = [
  ["zod", z.object({ user: z.string(), text: z.string() })],
  ["valibot", v.object({ user: v.string(), text: v.string() })],
  ["arktype", type({ user: "string", text: "string" })],
];

describe.each(schemas)("a schema of %s", (_, schema) => {
  test("lets through what it accepts, in subscribe, events and history", async () => {
    const bus = createPubSub();
    bus.onError(() => {});
    await bus.ensureStream({ name: "chat", subjects: ["chat"] });
    const heard: Chat[] = [];
    await bus.subscribe("chat", (data) => heard.push(data), { schema });
    const events = bus.events("chat", { schema });
    for (const text of ["hello", 5, "bye"]) await bus.publish("chat", { user: "ada", text });
    const wanted = [
      { user: "ada", text: "hello" },
      { user: "ada", text: "bye" },
    ];
    expect(heard).toEqual(wanted);
    const seen = [await events.next(), await events.next()];
    expect(seen.map(({ value }) => value?.data)).toEqual(wanted);
    const history = await bus.history("chat", 10, { schema });
    expect(history.map(({ data }) => data)).toEqual(wanted);
  });

  test("says where a message is wrong, and not what it says", async () => {
    const bus = createPubSub();
    const messages: string[] = [];
    const onError = ({ message }: Error) => messages.push(message);
    await bus.subscribe("chat", () => {}, { schema, onError });
    await bus.publish("chat", { user: "ada", text: 4711 });
    expect(messages).toEqual([expect.stringMatching(/at text$/)]);
  });
});
