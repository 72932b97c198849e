import { textOf } from "@lanai/pubsub/backend";
import type { NatsPubSub } from "@lanai/pubsub-nats";
import { describe, expect, test } from "vitest";
import { startNats } from "../../../scripts/services/nats.ts";
import { listen, openBackend } from "./fixture.ts";
import { startProxy } from "./proxy.ts";
import { numbers, subjectsOn, until } from "./servers.ts";

const UNAVAILABLE = { code: "ERR_PUBSUB_UNAVAILABLE", status: 503 };
/** Of `promise`, in milliseconds. */
const durationOf = async (promise: Promise<unknown>): Promise<number> => {
  const start = performance.now();
  await promise;
  return performance.now() - start;
};

describe("a server that is killed and restarted at a third and at half of 10,000 publishes", () => {
  test("P4, P5: stores each once, in order, without the app's help", async () => {
    await using server = await startNats();
    await using publisher = await openBackend(server, { timeout: 60_000 });
    await using reader = await openBackend(server);
    await publisher.backend.ensureStream({ name: "kept", subjects: ["kept"], maxMsgs: 20_000 });
    const live = await listen(reader.backend, "kept");
    const replayed = await listen(reader.backend, "kept", { replay: Infinity });
    let restarted: Promise<void> = Promise.resolve();
    // 50 at a time, not awaited one by one: what is under way at the kill counts too.
    for (let first = 1; first <= 10_000; first += 50) {
      if (first === 3_301 || first === 5_001) {
        await restarted;
        restarted = server.restart();
      }
      await Promise.all(
        numbers(first, first + 49).map((text) => publisher.backend.publish("kept", text)),
      );
    }
    await restarted;
    for (const { texts, gaps, errors, subscription } of [live, replayed]) {
      await until("all come", () => texts.length >= 10_000);
      expect(texts).toEqual(numbers(1, 10_000));
      expect([gaps, errors]).toEqual([[], []]);
      await until("it is live", () => subscription.status === "live");
    }
    const history = await reader.backend.history("kept", Infinity);
    expect(history.map(({ data }) => textOf(data))).toEqual(numbers(1, 10_000));
  });

  test("P5: never loses a plain message that it answered for and a subscriber was there for", async () => {
    await using server = await startNats();
    await using opened = await openBackend(server);
    const { texts, gaps } = await listen(opened.backend, "plain");
    const answered: string[] = [];
    let restarted: Promise<void> = Promise.resolve();
    for (const text of numbers(1, 10_000)) {
      if (text === "3333" || text === "5000") {
        await restarted;
        restarted = server.restart();
      }
      await opened.backend.publish("plain", text).then(
        () => answered.push(text),
        (error) => expect(error).toMatchObject(UNAVAILABLE),
      );
    }
    await restarted;
    await until("they come", () => texts.length >= answered.length);
    // A message may come although its answer was lost.
    expect(answered.filter((text) => !texts.includes(text))).toEqual([]);
    await until("the gaps are told", () => gaps.length >= 1);
    expect(new Set(gaps.map(({ reason }) => reason))).toEqual(new Set(["reconnect"]));
  });
});

describe("a server that comes back without its last messages", () => {
  test.each(["with nothing stored since", "with as many others stored since"])(
    "P5: tells its subscribers of a gap, and they receive what is stored from then on (%s)",
    async (which) => {
      const others = which.includes("others") ? numbers(101, 110) : [];
      await using server = await startNats();
      await using publisher = await openBackend(server);
      await using reader = await openBackend(server);
      await publisher.backend.ensureStream({ name: "kept", subjects: ["kept"], maxMsgs: 100 });
      const { texts, gaps, subscription } = await listen(reader.backend, "kept");
      const publishAll = async (all: readonly string[]): Promise<void> => {
        for (const text of all) await publisher.backend.publish("kept", text);
      };
      await publishAll(numbers(1, 10));
      await server.kill();
      const putBack = server.save();
      await server.restart();
      await publishAll(numbers(11, 20));
      await until("all come", () => texts.length === 20);
      const { cursor } = subscription;
      await server.kill();
      putBack();
      await server.restart();
      await publishAll(others);
      await until("the gap is told", () => gaps.length > 0);
      await publishAll(numbers(111, 120));
      await until("the rest come", () => texts.at(-1) === "120");
      const come = texts.slice(20);
      expect(come.slice(-10)).toEqual(numbers(111, 120));
      // Some of the others may be told by the gap only.
      expect(others.join()).toContain(come.slice(0, -10).join());
      expect(gaps).toEqual([{ subject: "kept", reason: "expired" }]);
      // A page that has the cursor of a lost message must not be taken for one that has the others.
      const again = await listen(reader.backend, "kept", { since: cursor ?? "" });
      expect(again.subscription.recovered).toBe(false);
    },
  );
});

describe("a connection that is cut while the server goes on", () => {
  test("P5: is made good on retained subjects, also for those who could not hold it all", async () => {
    await using server = await startNats();
    await using proxy = await startProxy(server.port);
    await using publisher = await openBackend(server);
    await using cut = await openBackend(proxy);
    await publisher.backend.ensureStream({ name: "kept", subjects: ["kept.>"], maxMsgs: 20_000 });
    const all = await listen(cut.backend, "kept.>");
    const some = await listen(cut.backend, "kept.even", { queue: { limit: 5 } });
    const slow = await listen(cut.backend, "kept.odd", {
      handle: () => new Promise((resolve) => setImmediate(resolve)),
    });
    const publish = (text: string) =>
      publisher.backend.publish(Number(text) % 2 ? "kept.odd" : "kept.even", text);
    await publish("1");
    await until("it is there", () => slow.texts.length === 1);
    proxy.cut();
    await until("it is noticed", () => all.subscription.status === "syncing");
    for (const text of numbers(2, 4_000)) await publish(text);
    proxy.mend();
    await until(
      "all come",
      () => all.texts.length >= 4_000 && [some, slow].every(({ texts }) => texts.length >= 2_000),
    );
    expect(all.texts).toEqual(numbers(1, 4_000));
    expect(some.texts).toEqual(numbers(1, 4_000).filter((text) => Number(text) % 2 === 0));
    expect(slow.texts).toEqual(numbers(1, 4_000).filter((text) => Number(text) % 2 === 1));
    for (const { gaps, errors, subscription } of [all, some, slow]) {
      await until("it is live", () => subscription.status === "live");
      expect([gaps, errors]).toEqual([[], []]);
    }
  });

  test("P5: reports what the stream has let go of meanwhile", async () => {
    await using server = await startNats();
    await using proxy = await startProxy(server.port);
    await using publisher = await openBackend(server);
    await using cut = await openBackend(proxy);
    await publisher.backend.ensureStream({ name: "kept", subjects: ["kept"], maxMsgs: 10 });
    const { texts, gaps, subscription } = await listen(cut.backend, "kept");
    await publisher.backend.publish("kept", "1");
    await until("it is there", () => texts.length === 1);
    proxy.cut();
    await until("it is noticed", () => subscription.status === "syncing");
    for (const text of numbers(2, 100)) await publisher.backend.publish("kept", text);
    proxy.mend();
    await until("the rest comes", () => texts.at(-1) === "100");
    expect(texts).toEqual(["1", ...numbers(91, 100)]);
    expect(gaps).toEqual([{ subject: "kept", reason: "expired" }]);
  });

  test("P3: in the middle of a long history neither loses nor repeats of it", async () => {
    await using server = await startNats();
    await using proxy = await startProxy(server.port);
    await using publisher = await openBackend(server);
    await using cut = await openBackend(proxy);
    await publisher.backend.ensureStream({ name: "kept", subjects: ["kept"], maxMsgs: 20_000 });
    await Promise.all(numbers(1, 5_000).map((text) => publisher.backend.publish("kept", text)));
    const { texts, gaps } = await listen(cut.backend, "kept", {
      replay: Infinity,
      handle: () => new Promise((resolve) => setImmediate(resolve)),
    });
    await until("a part has come", () => texts.length > 100);
    proxy.cut();
    await publisher.backend.publish("kept", "5001");
    proxy.mend();
    await until("all come", () => texts.length >= 5_001);
    expect(texts).toEqual(numbers(1, 5_001));
    expect(gaps).toEqual([]);
  });

  test("P3: after the server has sent the end of a history loses nothing of it", async () => {
    await using server = await startNats();
    await using proxy = await startProxy(server.port);
    await using publisher = await openBackend(server);
    await using cut = await openBackend(proxy);
    await publisher.backend.ensureStream({ name: "kept", subjects: ["kept"] });
    for (const text of numbers(1, 200)) await publisher.backend.publish("kept", text);
    const manager = await publisher.backend.jetstream.jetstreamManager();
    // The reader of history asks for so many.
    proxy.swallowAfter = /"batch":256/;
    const { texts, subscription } = await listen(cut.backend, "kept", { replay: Infinity });
    await until("it has asked", () => proxy.isSwallowing);
    await until("all are sent", async () => {
      const consumers = await manager.consumers.list("kept").next();
      return consumers.every(({ num_pending }) => num_pending === 0);
    });
    expect(texts).toEqual([]);
    proxy.cut();
    proxy.mend();
    await until("all come", () => texts.length >= 200);
    await until("it is live", () => subscription.status === "live");
    expect(texts).toEqual(numbers(1, 200));
  });

  test("P4: learns of streams that others have made meanwhile", async () => {
    await using server = await startNats();
    await using proxy = await startProxy(server.port);
    await using other = await openBackend(server);
    await using cut = await openBackend(proxy);
    await cut.backend.publish("kept", "plain");
    const { gaps } = await listen(cut.backend, "plain");
    proxy.cut();
    await other.backend.ensureStream({ name: "kept", subjects: ["kept"] });
    proxy.mend();
    await until("it is back", () => gaps.length === 1);
    await cut.backend.publish("kept", "1");
    const { messages } = await listen(cut.backend, "kept", { replay: 1 });
    await until("it is replayed", () => messages.length === 1);
    expect(messages[0]?.id).toBeDefined();
  });

  test("refuses plain publishes at once, and stores retained ones when it is back", async () => {
    await using server = await startNats();
    await using proxy = await startProxy(server.port);
    await using opened = await openBackend(proxy);
    await opened.backend.ensureStream({ name: "kept", subjects: ["kept"] });
    const { subscription } = await listen(opened.backend, "plain");
    await opened.backend.publish("kept", "1");
    proxy.cut();
    await until("it is noticed", () => subscription.status === "syncing");
    const held = numbers(2, 20).map((text) => opened.backend.publish("kept", text));
    await expect(opened.backend.publish("plain", "x")).rejects.toMatchObject(UNAVAILABLE);
    await expect(opened.backend.subscribe("plain", () => {})).rejects.toMatchObject(UNAVAILABLE);
    await expect(opened.backend.history("kept", 1)).rejects.toMatchObject(UNAVAILABLE);
    proxy.mend();
    await Promise.all(held);
    const history = await opened.backend.history("kept", Infinity);
    expect(history.map(({ data }) => textOf(data))).toEqual(numbers(1, 20));
  });

  test("gives up retained publishes after the time-out, and holds no more than 64 MiB", async () => {
    await using server = await startNats();
    await using proxy = await startProxy(server.port);
    await using opened = await openBackend(proxy, { timeout: 2_000 });
    await opened.backend.ensureStream({ name: "kept", subjects: ["kept"] });
    const { subscription } = await listen(opened.backend, "plain");
    proxy.cut();
    await until("it is noticed", () => subscription.status === "syncing");
    const results = await Promise.allSettled(
      numbers(1, 70).map(() => opened.backend.publish("kept", new Uint8Array(1_000_000))),
    );
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set(["rejected"]));
    expect((results.at(-1) as PromiseRejectedResult).reason.message).toMatch(/too many publishes/);
    expect((results[0] as PromiseRejectedResult).reason).toMatchObject(UNAVAILABLE);
  });
});

describe("a stream that is lost", () => {
  test("is made again by the process that made it; that is told, and cursors of the old one are not resumed", async () => {
    await using server = await startNats();
    await using opened = await openBackend(server, { storage: "memory" });
    await using other = await openBackend(server);
    const { backend } = opened;
    await backend.ensureStream({ name: "kept", subjects: ["kept"] });
    const mine = await listen(backend, "kept");
    const others = await listen(other.backend, "kept");
    await backend.publish("kept", "1");
    await until("it comes", () => others.texts.length === 1);
    const { cursor } = others.subscription;
    await server.restart();
    await backend.publish("kept", "2");
    await until("both go on", () => mine.texts.length === 2 && others.texts.length === 2);
    for (const { texts, gaps } of [mine, others]) {
      expect(texts).toEqual(["1", "2"]);
      expect(gaps).toEqual([{ subject: "kept", reason: "expired" }]);
    }
    const late = await listen(other.backend, "kept", { since: cursor, replay: 5 });
    await until("replay serves", () => late.texts.length === 1);
    expect([late.subscription.recovered, late.texts]).toEqual([false, ["2"]]);
    expect(late.gaps).toEqual([{ subject: "kept", reason: "cursor" }]);
  });

  test("and whose subjects another stream has taken is no reason to refuse other publishes", async () => {
    await using server = await startNats();
    await using opened = await openBackend(server);
    const { backend } = opened;
    await backend.ensureStream({ name: "kept", subjects: ["kept"] });
    const manager = await backend.jetstream.jetstreamManager();
    await backend.connection.flush();
    // Both at once, so that it isn't made again in between.
    const deleted = manager.streams.delete("kept");
    const taken = manager.streams.add({ name: "taken", subjects: ["app.kept"] });
    await Promise.all([deleted, taken]);
    await backend.publish("plain", "1");
    await backend.publish("kept", "2");
    expect(await backend.history("kept", 5)).toHaveLength(1);
  });

  test("and made by nobody here ends its subscriptions, which is told", async () => {
    await using server = await startNats();
    await using opened = await openBackend(server, { timeout: 2_000 });
    const manager = await opened.backend.jetstream.jetstreamManager();
    await manager.streams.add({ name: "foreign", subjects: ["app.foreign"] });
    const { subscription, errors } = await listen(opened.backend, "foreign");
    await manager.streams.delete("foreign");
    await subscription.closed;
    await until("it is told", () => errors.length === 1);
    expect(errors[0]).toMatchObject(UNAVAILABLE);
  });
});

/** Far above the timeout of a frozen server, and below that of one that is gone. */
const WITHIN = 30_000;

describe("a frozen server", () => {
  const frozen = async (check: (backend: NatsPubSub) => Promise<void>): Promise<number> => {
    await using server = await startNats();
    const opened = await openBackend(server, { timeout: 2_000 });
    const { backend } = opened;
    try {
      await backend.ensureStream({ name: "kept", subjects: ["kept"] });
      await backend.publish("kept", "1");
      await listen(backend, "kept");
      await listen(backend, "plain");
      server.freeze();
      await check(backend);
      return await durationOf(backend.close());
    } finally {
      server.thaw();
      await backend.connection.close();
    }
  };

  test("fails every call within its time-out, and lets close end", async () => {
    const closing = await frozen(async (backend) => {
      const calls: (() => Promise<unknown>)[] = [
        () => backend.publish("plain", "x"),
        () => backend.publish("kept", "x"),
        () => backend.subscribe("other", () => {}),
        () => backend.subscribe("kept", () => {}, { replay: 5 }),
        () => backend.history("kept", 5),
        () => backend.ensureStream({ name: "more", subjects: ["more"] }),
      ];
      await Promise.all(
        calls.map(async (call) => {
          const ms = await durationOf(expect(call()).rejects.toMatchObject(UNAVAILABLE));
          expect(ms).toBeLessThan(WITHIN);
        }),
      );
    });
    expect(closing).toBeLessThan(WITHIN);
  });

  test("P8: settles what is under way when it is closed", async () => {
    let settled: Promise<PromiseSettledResult<unknown>[]> = Promise.resolve([]);
    await frozen(async (backend) => {
      settled = Promise.allSettled([
        backend.publish("plain", "x"),
        backend.publish("kept", "x"),
        backend.subscribe("other", () => {}),
        backend.history("kept", 5),
      ]);
    });
    const results = await settled;
    expect(results.map(({ status }) => status)).toEqual([
      ...["rejected", "rejected", "fulfilled", "rejected"],
    ]);
  });
});

test("P8: a server that is gone lets close end, with everything settled", async () => {
  await using server = await startNats();
  const opened = await openBackend(server, { timeout: 60_000 });
  const { backend } = opened;
  await backend.ensureStream({ name: "kept", subjects: ["kept"] });
  const { subscription } = await listen(backend, "kept");
  await server.kill();
  await until("it is noticed", () => subscription.status === "syncing");
  const held = expect(backend.publish("kept", "x")).rejects.toMatchObject({
    code: "ERR_PUBSUB_CLOSED",
  });
  expect(await durationOf(backend.close())).toBeLessThan(WITHIN);
  await held;
  await expect(backend.publish("kept", "x")).rejects.toMatchObject({ code: "ERR_PUBSUB_CLOSED" });
  await backend.connection.close();
});

test("after twenty lost connections there are no more subscriptions than before", async () => {
  await using server = await startNats();
  await using opened = await openBackend(server);
  const { backend } = opened;
  await backend.ensureStream({ name: "kept", subjects: ["kept"] });
  const kept = await listen(backend, "kept");
  const plain = await listen(backend, "plain");
  const before = await subjectsOn(server);
  for (let i = 1; i <= 20; i++) {
    await backend.connection.reconnect();
    await until("the gap is told", () => plain.gaps.length === i);
    await backend.publish("kept", `${i}`);
  }
  await until("all come", () => kept.texts.length === 20);
  expect(kept.texts).toEqual(numbers(1, 20));
  // The server may notice the end of a connection later than we do.
  await until("the old ones are gone", async () => {
    return (await subjectsOn(server)).join() === before.join();
  });
});

describe("a server without JetStream", () => {
  test("serves plain subjects, and says of everything else what is missing", async () => {
    await using server = await startNats({ jetstream: false });
    await using opened = await openBackend(server);
    const { backend } = opened;
    const { texts } = await listen(backend, "plain.>");
    await backend.publish("plain.a", "1");
    await until("it comes", () => texts.length === 1);
    const missing = { code: "ERR_PUBSUB_NO_STREAMS", message: /start it with -js/ };
    const calls: (() => Promise<unknown>)[] = [
      () => backend.ensureStream({ name: "kept", subjects: ["kept"] }),
      () => backend.history("kept", 5),
      () => backend.subscribe("kept", () => {}, { replay: 5 }),
      () => backend.subscribe("kept", () => {}, { since: "a:1" }),
    ];
    for (const call of calls) {
      await expect(call()).rejects.toMatchObject({
        code: missing.code,
        message: expect.stringMatching(missing.message),
      });
    }
  });
});
