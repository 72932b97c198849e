import type { PubSub } from "@lanai/pubsub";
import { type Peer, startPeer } from "@lanai/pubsub/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type NatsServer, startNats } from "../../../scripts/services/nats.ts";
import { listen, type Opened, openBackend } from "./fixture.ts";
import { numbers, subjectsOn, until } from "./servers.ts";

let server: NatsServer;
let here: Opened;
let there: PubSub;
let peer: Peer;

const module = new URL("./open-backend.ts", import.meta.url).href;

beforeAll(async () => {
  server = await startNats();
  here = await openBackend(server);
  peer = startPeer(module);
  there = await peer.open({ port: server.port });
});
afterAll(async () => {
  await peer?.kill();
  await here?.[Symbol.asyncDispose]();
  await server?.stop();
});

test("two processes hear each other and themselves", async () => {
  const { texts } = await listen(here.backend, "both.*");
  const heard = await listen(there, "both.>");
  await Promise.all([
    ...numbers(1, 500).map((text) => there.publish("both.there", text)),
    ...numbers(501, 1_000).map((text) => here.backend.publish("both.here", text)),
  ]);
  const sorted = (all: readonly string[]) => all.toSorted((a, b) => Number(a) - Number(b));
  await until("both have all", () => texts.length === 1_000 && heard.texts.length === 1_000);
  expect(sorted(texts)).toEqual(numbers(1, 1_000));
  expect(sorted(heard.texts)).toEqual(numbers(1, 1_000));
});

test("P4: one that never called ensureStream stores too, and resumes the other's cursor", async () => {
  await here.backend.ensureStream({ name: "kept", subjects: ["kept.>"] });
  for (const text of numbers(1, 20)) await there.publish("kept.a", text);
  const { messages, texts } = await listen(here.backend, "kept.a", { replay: Infinity });
  await until("all are replayed", () => texts.length === 20);
  expect(texts).toEqual(numbers(1, 20));
  const resumed = await listen(there, "kept.*", { since: messages[4]?.id });
  expect(resumed.subscription.recovered).toBe(true);
  await here.backend.publish("kept.a", "21");
  await until("the rest comes there", () => resumed.texts.length === 16);
  expect(resumed.texts).toEqual(numbers(6, 21));
  expect(resumed.messages.map(({ id }) => id).slice(0, 15)).toEqual(
    messages.slice(5, 20).map(({ id }) => id),
  );
});

test("one that is killed leaves no subscription and harms nobody", async () => {
  await using other = startPeer(module);
  const killed = await other.open({ port: server.port });
  const before = await subjectsOn(server);
  await listen(killed, "killed.*");
  await listen(killed, "kept.>");
  const { texts } = await listen(here.backend, "killed.a");
  await other.kill();
  await here.backend.publish("killed.a", "1");
  await until("it comes", () => texts.length === 1);
  await until("only ours is left", async () => {
    const now = await subjectsOn(server);
    return now.length === before.length + 1 && now.includes("app.killed.a");
  });
});
