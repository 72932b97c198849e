import assert from "node:assert/strict";
import type { Subscription } from "../pubsub.ts";
import { type Case, closeAll, numbers, rejects, until } from "./case.ts";

export const endings: readonly Case[] = [
  {
    name: "after unsubscribe the handler isn't called, and others still are",
    async run(at) {
      const one = await at.listen("x");
      const equal = await at.listen("x");
      const pattern = await at.listen("*");
      await at.publish("x", "1");
      await until("all get it", () => [one, equal, pattern].every((it) => it.texts.length === 1));
      const leaving = one.subscription.unsubscribe();
      assert.equal(one.subscription.status, "closed");
      await leaving;
      await one.subscription.closed;
      await one.subscription.unsubscribe();
      await at.publish("x", "2");
      await until("the others get it", () => equal.texts.length + pattern.texts.length === 4);
      assert.deepEqual(one.texts, ["1"]);
      await equal.subscription.unsubscribe();
      await at.publish("x", "3");
      await until("the pattern gets it", () => pattern.texts.length === 3);
      assert.deepEqual(equal.texts, ["1", "2"]);
    },
  },
  {
    name: "unsubscribe inside the handler drops what waits",
    async run(at) {
      let subscription: Subscription | undefined;
      const other = await at.listen("x");
      const listener = await at.listen("x", {
        handle: () => void subscription?.unsubscribe(),
      });
      ({ subscription } = listener);
      await Promise.all(numbers(1, 10).map((text) => at.publish("x", text)));
      await until("the other gets all", () => other.texts.length === 10);
      assert.equal(listener.texts.length, 1);
    },
  },
  {
    name: "subscribe and unsubscribe in turn, at once and again, end where they should",
    async run(at) {
      const subject = at.subject("x");
      let heard = 0;
      const hear = () => {
        heard += 1;
      };
      await Promise.all(
        numbers(1, 50).map(async () => {
          const subscription = await at.backend.subscribe(subject, hear);
          await subscription.unsubscribe();
        }),
      );
      const kept = await at.listen("x");
      const between = await at.backend.subscribe(subject, hear);
      const leaving = between.unsubscribe();
      const again = await at.listen("x");
      await leaving;
      await at.publish("x", "1", "2");
      await until("those that stay get it", () => kept.texts.length + again.texts.length === 4);
      assert.equal(heard, 0);
    },
  },
  {
    name: "a signal ends a subscription: before, while and after it is made",
    async run(at) {
      const before = await at.listen("x", { signal: AbortSignal.abort() });
      assert.equal(before.subscription.status, "closed");
      await before.subscription.closed;

      const during = new AbortController();
      const making = at.listen("x", { signal: during.signal });
      during.abort();
      const { subscription, texts } = await making;
      await subscription.closed;
      assert.equal(subscription.status, "closed");

      const after = new AbortController();
      const later = await at.listen("x", { signal: after.signal });
      const stays = await at.listen("x");
      after.abort();
      assert.equal(later.subscription.status, "closed");
      await later.subscription.closed;

      await at.publish("x", "1", "2");
      await until("the one that stays gets it", () => stays.texts.length === 2);
      assert.deepEqual([before.texts, texts, later.texts], [[], [], []]);
      assert.deepEqual(later.errors, []);
    },
  },
  {
    name: "P7: who doesn't keep up is closed and told, and delays nobody",
    async run(at) {
      let release = (): void => {};
      const stuck = new Promise<void>((resolve) => {
        release = resolve;
      });
      const slow = await at.listen("x", { queue: { limit: 10 }, handle: () => stuck });
      const others = await Promise.all(numbers(1, 20).map(() => at.listen("x")));
      await at.publish("x", ...numbers(1, 50));
      for (const { texts } of others) await until("the others get all", () => texts.length === 50);
      await until("it is told", () => slow.errors.length > 0);
      await slow.subscription.closed;
      assert.deepEqual(
        slow.errors.map(({ code }) => code),
        ["ERR_PUBSUB_SLOW"],
      );
      assert.equal(slow.subscription.status, "closed");
      release();
      await at.publish("x", "51");
      for (const { texts } of others) await until("all goes on", () => texts.length === 51);
      assert.deepEqual(slow.texts, ["1"]);
    },
  },
  {
    name: "P7: with drop-oldest it goes on with the newest, and is told how many are missing",
    async run(at) {
      let release = (): void => {};
      const stuck = new Promise<void>((resolve) => {
        release = resolve;
      });
      const slow = await at.listen("x", {
        queue: { limit: 10, overflow: "drop-oldest" },
        handle: () => stuck,
      });
      const other = await at.listen("x");
      await at.publish("x", ...numbers(1, 50));
      await until("the other gets all", () => other.texts.length === 50);
      release();
      await until("it gets the newest", () => slow.texts.at(-1) === "50");
      assert.deepEqual(slow.texts, ["1", ...numbers(41, 50)]);
      assert.deepEqual(slow.gaps, [{ subject: at.subject("x"), reason: "overflow", count: 39 }]);
      assert.deepEqual(slow.errors, []);
    },
  },
  {
    name: "P7: the queue is bounded in bytes too",
    async run(at) {
      const slow = await at.listen("x", {
        queue: { bytes: 1000 },
        handle: () => new Promise(() => {}),
      });
      const other = await at.listen("x");
      await at.publish("x", ...numbers(1, 5).map((it) => it.repeat(400)));
      await until("the other gets all", () => other.texts.length === 5);
      await until("it is closed", () => slow.errors[0]?.code === "ERR_PUBSUB_SLOW");
    },
  },
  {
    name: "P8: close settles everything, and every later call is a typed error",
    async run(at) {
      const { backend } = at;
      await at.stream({ subjects: ["kept"] });
      const { subscription, texts } = await at.listen("x");
      const published = numbers(1, 10_000).map((text, i) =>
        backend.publish(at.subject(i % 10 ? "x" : "kept"), text),
      );
      const subscribing = numbers(1, 10).map((it) => backend.subscribe(at.subject(it), () => {}));
      await backend.close();
      const settled = await Promise.allSettled([...published, ...subscribing]);
      for (const result of settled) {
        if (result.status === "rejected") assert.equal(result.reason.code, "ERR_PUBSUB_CLOSED");
        else if (result.value) await result.value.closed;
      }
      await subscription.closed;
      assert.equal(subscription.status, "closed");
      await subscription.unsubscribe();
      const { length } = texts;
      await rejects(backend.publish(at.subject("x"), "1"), "ERR_PUBSUB_CLOSED");
      await rejects(
        backend.subscribe(at.subject("x"), () => {}),
        "ERR_PUBSUB_CLOSED",
      );
      await rejects(backend.history(at.subject("kept"), 1), "ERR_PUBSUB_CLOSED");
      await rejects(at.stream({ subjects: ["kept"] }), "ERR_PUBSUB_CLOSED");
      await backend.close();
      assert.equal(texts.length, length);
    },
  },
  {
    name: "P8: ten that subscribe and close at once disturb neither one that stays nor one that comes after",
    async run(at) {
      const stays = await at.listen("1.*");
      const all = await Promise.all(numbers(1, 10).map(() => at.open()));
      const settled = await Promise.all(
        all.map(async (opened) => {
          const { backend } = opened;
          const subscribed = Promise.allSettled(
            numbers(1, 20).map((i) => backend.subscribe(at.subject(`${i}.*`), () => {})),
          );
          await closeAll(opened);
          return subscribed;
        }),
      );
      for (const result of settled.flat()) {
        if (result.status === "rejected") assert.equal(result.reason.code, "ERR_PUBSUB_CLOSED");
        else await result.value.closed;
      }
      const fresh = await at.open();
      try {
        const { texts } = await at.listen("2.*", { on: fresh.backend });
        await fresh.backend.publish(at.subject("2.x"), "2");
        await at.publish("1.x", "1");
        await until("both work", () => texts.length === 1 && stays.texts.length === 1);
      } finally {
        await closeAll(fresh);
      }
    },
  },
  {
    name: "P8: a close that begins twice ends twice",
    async run({ backend }) {
      await Promise.all([backend.close(), backend.close()]);
    },
  },
];
