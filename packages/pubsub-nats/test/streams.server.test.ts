import type { StreamConfig } from "@lanai/pubsub";
import { textOf } from "@lanai/pubsub/backend";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type NatsServer, startNats } from "../../../scripts/services/nats.ts";
import { neverReads } from "../../pubsub/test/never-reads.ts";
import { listen, openBackend } from "./fixture.ts";
import { connectTo, numbers, until } from "./servers.ts";

let server: NatsServer;

beforeAll(async () => {
  server = await startNats();
});
afterAll(async () => {
  await server?.stop();
});

describe("ensureStream", () => {
  test("changes subjects and limits, and nothing that others have set", async () => {
    await using opened = await openBackend(server);
    const { backend } = opened;
    const manager = await backend.jetstream.jetstreamManager();
    const config = { name: "changed", subjects: ["changed.a"], maxMsgs: 10 };
    await backend.ensureStream(config);
    await backend.publish("changed.a", "1");
    await manager.streams.update("changed", { max_msg_size: 1000 });
    const subjects = ["changed.a", "changed.b.>"];
    await backend.ensureStream({ ...config, subjects, maxMsgs: 20, maxAge: 60_000 });
    await backend.ensureStream({ ...config, subjects, maxMsgs: 20, maxAge: 60_000 });
    await backend.publish("changed.b.c", "2");
    const info = await manager.streams.info("changed");
    expect(info.config).toMatchObject({
      subjects: ["app.changed.a", "app.changed.b.>"],
      max_msgs: 20,
      max_age: 60_000 * 1e6,
      duplicate_window: 60_000 * 1e6,
      max_msg_size: 1000,
      storage: "file",
      retention: "limits",
      discard: "old",
    });
    expect(info.state.messages).toBe(2);
  });

  test("says what the server has against a change", async () => {
    await using opened = await openBackend(server);
    const { backend } = opened;
    await backend.ensureStream({ name: "first", subjects: ["first"] });
    await backend.ensureStream({ name: "second", subjects: ["second"] });
    const subjects = ["second", "first"];
    await expect(backend.ensureStream({ name: "second", subjects })).rejects.toMatchObject({
      code: "ERR_PUBSUB_STREAM",
      message: expect.stringMatching(/the stream second can't be like this: subjects overlap/),
    });
  });

  test("doesn't take over the stream of another app, nor one of another kind", async () => {
    await using opened = await openBackend(server);
    const { backend } = opened;
    const manager = await backend.jetstream.jetstreamManager();
    await manager.streams.add({ name: "theirs", subjects: ["other.>"] });
    await manager.streams.add({
      name: "jobs",
      subjects: ["app.jobs"],
      retention: "workqueue",
    });
    const cases: [config: StreamConfig, message: RegExp][] = [
      [{ name: "theirs", subjects: ["x1"] }, /a stream theirs of others, with the subject other/],
      [{ name: "jobs", subjects: ["jobs"] }, /a stream jobs with retention workqueue/],
    ];
    for (const [config, message] of cases) {
      await expect(backend.ensureStream(config)).rejects.toMatchObject({
        code: "ERR_PUBSUB_STREAM",
        message: expect.stringMatching(message),
      });
    }
    expect((await manager.streams.info("theirs")).config.subjects).toEqual(["other.>"]);
  });

  test("P4: of another process is known to one that has published there before", async () => {
    await using one = await openBackend(server);
    await using other = await openBackend(server);
    for (const round of numbers(1, 50)) {
      const subject = `known.${round}`;
      await other.backend.publish(subject, "plain");
      await one.backend.ensureStream({ name: `known-${round}`, subjects: [subject] });
      await other.backend.publish(subject, "kept");
      const history = await one.backend.history(subject, 10);
      expect(history.map(({ data }) => textOf(data))).toEqual(["kept"]);
    }
  });
});

test("nothing older than maxAge is read, also where the server still has it", async () => {
  await using opened = await openBackend(server);
  const { backend } = opened;
  const maxAge = 300;
  await backend.ensureStream({ name: "aging", subjects: ["aging"], maxAge });
  const stored = await backend.jetstream.streams.get("aging");
  // Until the server was seen to have some that are too old, which it removes now and then.
  let seen = false;
  while (!seen) {
    for (const text of numbers(1, 40)) {
      await backend.publish("aging", text);
      const now = Date.now();
      await until("the next one is younger", () => Date.now() >= now + 10);
    }
    const [first] = await backend.history("aging", 1);
    const epoch = first?.id?.split(":")[0];
    for (;;) {
      const start = Date.now();
      const { state } = await stored.info();
      const history = await backend.history("aging", Infinity);
      expect(history.filter(({ time }) => time + maxAge < start)).toEqual([]);
      if (state.messages > history.length) {
        seen = true;
        const since = `${epoch}:${state.first_seq - 1}`;
        const { subscription } = await listen(backend, "aging", { since });
        expect(subscription.recovered).toBe(false);
        await subscription.unsubscribe();
      }
      if (history.length === 0) break;
    }
  }
});

test("the last messages of a subject are found wherever they are in a stream of 20,000", async () => {
  await using opened = await openBackend(server);
  const { backend } = opened;
  await backend.ensureStream({ name: "mixed", subjects: ["mixed.>"], maxMsgs: 100_000 });
  const raw = await connectTo(server);
  // Many everywhere, one in a hundred, at the beginning alone, at the end alone, in the middle.
  const subjectOf = (i: number) => {
    if (i % 100 === 0) return "rare.a";
    if (i < 400) return "early";
    if (i > 19_600) return "late";
    if (i > 9_000 && i < 11_000) return "middle";
    return `often.${i % 3}`;
  };
  const expected = new Map<string, string[]>();
  for (let i = 1; i <= 20_000; i++) {
    const subject = subjectOf(i);
    raw.publish(`app.mixed.${subject}`, `${i}`);
    for (const filter of [subject, subject.replace(/\..*/, ".>"), ">"]) {
      const texts = expected.get(filter) ?? [];
      if (texts.at(-1) !== `${i}`) texts.push(`${i}`);
      expected.set(filter, texts);
    }
  }
  await raw.flush();
  const stored = await backend.jetstream.streams.get("mixed");
  await until("all are stored", async () => (await stored.info()).state.messages === 20_000);
  for (const filter of ["rare.a", "early", "late", "middle", "often.1", "often.>", "rare.>", ">"]) {
    const all = expected.get(filter) ?? [];
    for (const limit of [0, 1, 2, 50, 1_000, all.length, Infinity]) {
      const history = await backend.history(`mixed.${filter}`, limit);
      const texts = history.map(({ data }) => textOf(data));
      expect(texts, `${filter}, the last ${limit}`).toEqual(limit === 0 ? [] : all.slice(-limit));
    }
    const { subscription, texts } = await listen(backend, `mixed.${filter}`, { replay: 7 });
    const { cursor } = subscription;
    const left = 7 - texts.length;
    await until("they are replayed", () => texts.length === 7);
    expect(texts, `${filter}, replayed`).toEqual(all.slice(-7));
    const again = await listen(backend, `mixed.${filter}`, { since: cursor });
    await until("the rest is replayed again", () => again.texts.length === left);
    expect(again.subscription.recovered).toBe(true);
    expect(again.texts, `${filter}, resumed`).toEqual(all.slice(all.length - left));
  }
  await raw.close();
});

test("readers of history leave no consumer behind", async () => {
  // Hundreds of consumers at once take a busy server its time.
  await using opened = await openBackend(server, { timeout: 60_000 });
  const { backend } = opened;
  await backend.ensureStream({ name: "read", subjects: ["read.>"] });
  for (const text of numbers(1, 100)) await backend.publish("read.a", text);
  const stored = await backend.jetstream.streams.get("read");
  await Promise.all(numbers(1, 20).map(() => backend.history("read.a", 3)));
  const listeners = await Promise.all(
    numbers(1, 20).map(() => listen(backend, "read.*", { replay: 5 })),
  );
  await until("all are replayed", () => listeners.every(({ texts }) => texts.length === 5));
  await until("one reads", async () => (await stored.info(false)).state.consumer_count === 1);
  await Promise.all(listeners.map(({ subscription }) => subscription.unsubscribe()));
  const leaving = numbers(1, 200).map(async (turns) => {
    const controller = new AbortController();
    const { signal } = controller;
    const listening = listen(backend, "read.*", { replay: 5, since: `a:${turns}`, signal });
    for (let i = 0; i < Number(turns); i++) await new Promise((resolve) => setImmediate(resolve));
    controller.abort();
    expect((await listening).subscription.status).toBe("closed");
  });
  await Promise.all(leaving);
  await until("none reads", async () => (await stored.info(false)).state.consumer_count === 0);
});

test.each(["close", "drop-oldest"] as const)(
  "P7: one that never reads delays none of a hundred beside it, meets its policy (%s), and holds no more than its queue",
  async (overflow) => {
    await using opened = await openBackend(server);
    const { backend } = opened;
    await backend.ensureStream({ name: "slow", subjects: ["slow.kept"] });
    for (const subject of ["slow.kept", "slow.plain"]) {
      await neverReads(backend, subject, overflow);
    }
  },
);

test("a message that is larger than the server takes is refused, and the next one goes", async () => {
  await using opened = await openBackend(server);
  const { backend } = opened;
  await backend.ensureStream({ name: "large", subjects: ["large.kept"] });
  const { texts } = await listen(backend, "large.*");
  for (const subject of ["large.kept", "large.plain"]) {
    await expect(backend.publish(subject, new Uint8Array(2 ** 20 + 1))).rejects.toMatchObject({
      code: "ERR_PUBSUB_TOO_LARGE",
      status: 413,
    });
    await backend.publish(subject, "small");
  }
  await until("the small ones come", () => texts.length === 2);
});
