import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { until } from "../../../scripts/testing/until.ts";
import { listen, openBackend } from "./fixture.ts";

let server: RedisServer;
let admin: Redis;

beforeAll(async () => {
  server = await startRedis();
  admin = new Redis(server.port);
});
afterAll(async () => {
  admin?.disconnect();
  await server?.stop();
});

/** Fails if a number comes after a larger one, or twice. */
function expectOrder(texts: readonly string[]): void {
  const numbers = texts.map(Number);
  const wrong = numbers.findIndex((it, n) => n > 0 && it <= (numbers[n - 1] as number));
  expect(wrong < 0 ? "in order" : `${numbers[wrong]} after ${numbers[wrong - 1]}`).toBe("in order");
}

test("P10: who subscribes everything hears one publisher in order, over streams and plain subjects", async () => {
  await using here = openBackend(server.port, { prefix: "all:" });
  await using there = openBackend(server.port, { prefix: "all:" });
  for (const name of ["a", "b"]) {
    await here.backend.ensureStream({ name, subjects: [`${name}.>`], maxMsgs: 10_000 });
  }
  const { texts, gaps } = await listen(there.backend, ">");
  const subjects = ["a.x", "plain.x", "b.x", "plain.y"];
  const sent: Promise<void>[] = [];
  for (let n = 0; n < 2_000; n++) {
    sent.push(here.backend.publish(subjects[n % 4] as string, `${n}`));
    // Some of them together in one turn, others behind a batch that is under way.
    if (n % 7 === 0) await new Promise(setImmediate);
  }
  await Promise.all(sent);
  await until(() => expect(texts.length).toBe(2_000));
  expectOrder(texts);
  expect(gaps).toEqual([]);
});

test("P10: it stays so while the connections of subscribers are lost and streams change", async () => {
  await using here = openBackend(server.port, { prefix: "cut:" });
  await using there = openBackend(server.port, { prefix: "cut:" });
  const ensure = (...subjects: string[]) =>
    there.backend.ensureStream({ name: "s", subjects, maxMsgs: 100_000 });
  await ensure("a.>", "b.>");
  const listeners = await Promise.all(
    ["a.x", "b.x", "*.x", ">"].map((subject) => listen(there.backend, subject)),
  );
  const sent: Promise<void>[] = [];
  let isOver = false;
  const publishing = (async () => {
    for (let n = 0; !isOver; n++) {
      const publish = here.backend.publish(n % 2 ? "a.x" : "b.x", `${n}`);
      sent.push(publish);
      if (n % 5 === 0) await new Promise(setImmediate);
      if (n % 50 === 0) await publish;
    }
  })();
  for (let round = 0; round < 6; round++) {
    const before = listeners.map(({ texts }) => texts.length);
    const changing = round % 2 ? ensure("a.>", "b.>") : ensure("a.>");
    await admin.call("CLIENT", "KILL", "TYPE", "pubsub");
    await changing;
    for (const [n, { texts, subscription }] of listeners.entries()) {
      await until(() => expect(subscription.status).toBe("live"));
      await until(() => expect(texts.length).toBeGreaterThan((before[n] as number) + 5));
    }
  }
  isOver = true;
  await publishing;
  await Promise.all(sent);
  await here.backend.publish("a.x", `${sent.length}`);
  await here.backend.publish("b.x", `${sent.length + 1}`);
  for (const { subscription, texts, gaps, errors } of listeners) {
    const last = `${sent.length + (subscription.subject === "a.x" ? 0 : 1)}`;
    await until(() => expect(texts.at(-1)).toBe(last));
    expectOrder(texts);
    expect(errors).toEqual([]);
    const all = sent.length / (/^[ab]/.test(subscription.subject) ? 2 : 1);
    // What is missing is reported; on a subject that is always retained nothing is.
    if (subscription.subject === "a.x") expect(gaps).toEqual([]);
    if (gaps.length === 0) expect(texts.length).toBeGreaterThanOrEqual(Math.floor(all));
  }
});

test("a stream that another process gives other subjects is reported", async () => {
  const { subscribe, unsubscribe } = await import("node:diagnostics_channel");
  const reports: unknown[] = [];
  const note = (event: unknown) => {
    if ((event as { level: string }).level === "warn") reports.push(event);
  };
  subscribe("lanai:pubsub:stream", note);
  await using here = openBackend(server.port, { prefix: "two:" });
  await using there = openBackend(server.port, { prefix: "two:" });
  await here.backend.ensureStream({ name: "s", subjects: ["a", "b"] });
  await here.backend.ensureStream({ name: "s", subjects: ["a", "c"] });
  expect(reports).toEqual([]);
  await there.backend.ensureStream({ name: "s", subjects: ["a"] });
  await until(() =>
    expect(reports).toMatchObject([{ subject: "s", message: expect.stringContaining("now: a.") }]),
  );
  unsubscribe("lanai:pubsub:stream", note);
});
