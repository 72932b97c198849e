import type { PubSubError } from "@lanai/pubsub";
import { textOf } from "@lanai/pubsub/backend";
import { jetstreamManager } from "@nats-io/jetstream";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type NatsServer, startNats } from "../../../scripts/services/nats.ts";
import { listen, openBackend } from "./fixture.ts";
import { startProxy } from "./proxy.ts";
import { connectTo, numbers, until } from "./servers.ts";

let server: NatsServer;

beforeAll(async () => {
  server = await startNats();
});
afterAll(async () => {
  await server?.stop();
});

const isRepeated = (texts: readonly string[]): boolean => new Set(texts).size !== texts.length;

/** The names of the messages that were published, and how each publish ended. */
interface Outcomes {
  readonly resolved: string[];
  readonly unknown: string[];
  readonly other: PubSubError[];
}

const outcomesOf = async (publishing: readonly (readonly [string, Promise<void>])[]) => {
  const outcomes: Outcomes = { resolved: [], unknown: [], other: [] };
  await Promise.all(
    publishing.map(([text, promise]) =>
      promise.then(
        () => outcomes.resolved.push(text),
        (error: PubSubError) => {
          if (/the outcome is unknown/.test(error.message)) outcomes.unknown.push(text);
          else outcomes.other.push(error);
        },
      ),
    ),
  );
  return outcomes;
};

/** Publishes while the server's replies are swallowed, then breaks the connection. */
async function cutBeforeReplies(t: string, timeout: number, cutWhen: "heard" | "given up") {
  await using proxy = await startProxy(server.port);
  await using there = await openBackend(server);
  await using opened = await openBackend(proxy, { timeout });
  const { backend } = opened;
  await there.backend.ensureStream({ name: t, subjects: [`${t}.kept.>`] });
  const kept = await listen(there.backend, `${t}.kept.*`);
  const plain = await listen(there.backend, `${t}.plain`);
  const wide = await listen(there.backend, `${t}.>`);
  for (const subject of ["kept.a", "plain"]) await backend.publish(`${t}.${subject}`, "0");
  proxy.swallowAfter = /PUB app\./;
  const keptOnes: [string, Promise<void>][] = [];
  const plainOnes: [string, Promise<void>][] = [];
  for (const text of numbers(1, 20)) {
    const messageId = Number(text) % 2 ? { messageId: `${t}-${text}` } : {};
    keptOnes.push([text, backend.publish(`${t}.kept.a`, text, messageId)]);
    plainOnes.push([text, backend.publish(`${t}.plain`, text)]);
  }
  const ending = Promise.all([outcomesOf(keptOnes), outcomesOf(plainOnes)]);
  await until("all are with the server", () => wide.texts.length === 42);
  if (cutWhen === "given up") await ending;
  proxy.cut();
  proxy.mend();
  const [keptEnded, plainEnded] = await ending;
  // Whatever is sent again comes before this one.
  await until("it is back", () =>
    backend.publish(`${t}.kept.b`, "end").then(
      () => true,
      () => false,
    ),
  );
  for (const { texts } of [kept, wide]) {
    await until("the last comes", () => texts.includes("end"));
  }
  const history = await there.backend.history(`${t}.kept.a`, Infinity);
  return {
    kept: keptEnded,
    plain: plainEnded,
    history: history.map(({ data }) => textOf(data)),
    heard: { kept, plain, wide },
  };
}

test("P10: a publish whose acknowledgement is lost is sent again, and stored and heard once", async () => {
  const { kept, plain, history, heard } = await cutBeforeReplies("again", 60_000, "heard");
  expect(kept).toEqual({ resolved: numbers(1, 20), unknown: [], other: [] });
  expect(plain).toEqual({ resolved: [], unknown: numbers(1, 20), other: [] });
  expect(history).toEqual(numbers(0, 20));
  expect(heard.kept.texts).toEqual([...numbers(0, 20), "end"]);
  expect(heard.plain.texts).toEqual(numbers(0, 20));
  const wide = heard.wide.messages.map(({ subject, data }) => `${subject} ${textOf(data)}`);
  expect(isRepeated(wide.filter((it) => !it.endsWith("end")))).toBe(false);
});

test("P10: a publish that was given up is not sent again, and its error says that the outcome is unknown", async () => {
  const { kept, plain, history, heard } = await cutBeforeReplies("given-up", 2_000, "given up");
  expect(kept).toEqual({ resolved: [], unknown: numbers(1, 20), other: [] });
  expect(plain).toEqual({ resolved: [], unknown: numbers(1, 20), other: [] });
  expect(history).toEqual(numbers(0, 20));
  for (const { messages } of Object.values(heard)) {
    const texts = messages.map(({ subject, data }) => `${subject} ${textOf(data)}`);
    expect(isRepeated(texts.filter((it) => !it.endsWith("end")))).toBe(false);
  }
});

test("P10: what the server may have forgotten the id of is not sent again", async () => {
  await using proxy = await startProxy(server.port);
  await using there = await openBackend(server);
  await using opened = await openBackend(proxy, { timeout: 60_000 });
  const { backend } = opened;
  // The server knows an id no longer than it keeps a message.
  await there.backend.ensureStream({ name: "short", subjects: ["short"], maxAge: 2_000 });
  const { texts } = await listen(there.backend, "short");
  await backend.publish("short", "0");
  proxy.swallowAfter = /PUB app\./;
  const publishing = outcomesOf([["1", backend.publish("short", "1")]]);
  await until("it is stored", () => texts.length === 2);
  proxy.cut();
  await until("it has expired", async () => (await there.backend.history("short", 1)).length === 0);
  proxy.mend();
  expect(await publishing).toEqual({ resolved: [], unknown: ["1"], other: [] });
  await backend.publish("short", "2");
  await until("the next one comes", () => texts.at(-1) === "2");
  expect(texts).toEqual(["0", "1", "2"]);
});

test("P10: what was sent to a stream that was lost since is not sent to the one made in its place", async () => {
  const operator = await connectTo(server);
  const { streams } = await jetstreamManager(operator);
  await using proxy = await startProxy(server.port);
  await using there = await openBackend(server);
  await using opened = await openBackend(proxy, { timeout: 60_000 });
  await streams.add({ name: "replaced", subjects: ["app.replaced"] });
  const { texts } = await listen(there.backend, "replaced");
  await opened.backend.publish("replaced", "0");
  proxy.swallowAfter = /PUB app\./;
  const publishing = outcomesOf([["1", opened.backend.publish("replaced", "1")]]);
  await until("it is heard", () => texts.length === 2);
  proxy.cut();
  await streams.delete("replaced");
  await streams.add({ name: "replaced", subjects: ["app.replaced"] });
  proxy.mend();
  expect(await publishing).toEqual({ resolved: [], unknown: ["1"], other: [] });
  await until("it goes on", async () => {
    await opened.backend.publish("replaced", "2");
    return texts.at(-1) === "2";
  });
  expect(texts.filter((text) => text === "1")).toEqual(["1"]);
  await operator.close();
});
