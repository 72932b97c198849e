import assert from "node:assert/strict";
import type { Message } from "../pubsub.ts";
import { type Case, numbers, type Place, type RecordedSubscription, until } from "./case.ts";

/** Publishes 1 to `last` while something else is done. Resolves when all are stored. */
async function publishing(
  at: Place,
  last: number,
  during: (published: () => number) => Promise<void>,
): Promise<void> {
  let published = 0;
  const publisher = (async () => {
    for (const text of numbers(1, last)) {
      await at.again.publish(at.subject("x"), text);
      published += 1;
      // So that what runs beside it comes in between in one process too.
      if (published % 10 === 0) await new Promise(setImmediate);
    }
  })();
  await Promise.all([publisher, during(() => published)]);
}

export const replay: readonly Case[] = [
  {
    name: "P3: replay is history first, then live, each marked as what it is",
    async run(at) {
      await at.stream();
      await at.publish("x", ...numbers(1, 20));
      const { messages, texts, subscription } = await at.listen("x", { replay: 5 });
      await at.publish("x", ...numbers(21, 30));
      await until("all come", () => texts.length >= 15);
      assert.deepEqual(texts, numbers(16, 30));
      assert.deepEqual(
        messages.map(({ replayed }) => replayed),
        Array.from({ length: 15 }, (_, i) => i < 5),
      );
      assert.equal(subscription.recovered, undefined);
      assert.equal(new Set(messages.map(({ id }) => id)).size, 15);
    },
  },
  {
    name: "P3: more is asked for than there is, nothing, or all",
    async run(at) {
      await at.stream();
      for (const [replay, least] of [
        [0, 4],
        [2, 2],
        [1000, 1],
        [Infinity, 1],
      ] as const) {
        const name = `x.${replay}`;
        await at.publish(name, ...numbers(1, 3));
        const { texts } = await at.listen(name, { replay });
        await at.publish(name, "4", "end");
        await until("all come", () => texts.at(-1) === "end");
        assert.deepEqual(texts, [...numbers(least, 4), "end"]);
      }
    },
  },
  {
    name: "P3: whoever joins while messages flow gets every one, once, in order",
    async run(at) {
      await at.stream({ maxMsgs: 5000 });
      const joined: Promise<RecordedSubscription & { before: number; after: number }>[] = [];
      await publishing(at, 1000, async (published) => {
        for (let i = 0; i < 20; i++) {
          await until("some more are published", () => published() >= i * 45);
          const before = published();
          const joining = at.listen(i % 2 ? "x" : "*", { replay: Infinity });
          joined.push(joining.then((it) => ({ ...it, before, after: published() })));
        }
      });
      for (const { texts, messages, before, after } of await Promise.all(joined)) {
        await until("all come", () => texts.length >= 1000);
        assert.deepEqual(texts, numbers(1, 1000));
        // One is under way when the subscription is live.
        const replayed = messages.filter((it) => it.replayed).length;
        assert.ok(replayed >= before && replayed <= after + 1, `${before} ${replayed} ${after}`);
        assert.ok(messages.slice(0, replayed).every((it) => it.replayed));
      }
    },
  },
  {
    name: "P3: 20 times in a row a subscriber leaves and resumes, and misses and repeats nothing",
    async run(at) {
      await at.stream({ maxMsgs: 5000 });
      const texts: string[] = [];
      await publishing(at, 1000, async () => {
        let since: string | undefined;
        for (let round = 0; round < 20; round++) {
          // It leaves in the middle of what comes, of history or live.
          const leaving = new AbortController();
          let taken = 0;
          const { subscription, ...heard } = await at.listen("x", {
            ...(since === undefined ? { replay: Infinity } : { since }),
            signal: leaving.signal,
            handle() {
              taken += 1;
              if (taken === 50) leaving.abort();
            },
          });
          await until("it has taken its 50", () => subscription.status === "closed");
          assert.equal(subscription.recovered, since === undefined ? undefined : true);
          texts.push(...heard.texts);
          since = heard.messages.at(-1)?.id;
          assert.equal(subscription.cursor, since);
        }
      });
      assert.deepEqual(texts, numbers(1, 1000));
    },
  },
  {
    name: "P3: a cursor is one line of at most 128 bytes, and there from the beginning",
    async run(at) {
      await at.stream();
      await at.publish("x", "1", "2");
      const idle = await at.listen("x");
      const { cursor } = idle.subscription;
      assert.match(cursor ?? "", /^[\x21-\x7e]{1,128}$/);
      await idle.subscription.unsubscribe();
      await at.publish("x", "3");
      const { texts, messages, subscription } = await at.listen("x", { since: cursor });
      assert.equal(subscription.recovered, true);
      await at.publish("x", "4");
      await until("both come", () => texts.length >= 2);
      assert.deepEqual(texts, ["3", "4"]);
      assert.deepEqual(
        messages.map(({ replayed }) => replayed),
        [true, false],
      );
      for (const { id } of messages) assert.match(id ?? "", /^[\x21-\x7e]{1,128}$/);
      const [stored] = await at.backend.history(at.subject("x"), 1);
      assert.equal(stored?.id, messages[1]?.id);
    },
  },
  {
    name: "P3: since wins over replay; an empty one is none",
    async run(at) {
      await at.stream();
      await at.publish("x", ...numbers(1, 5));
      const [, , third] = (await at.backend.history(at.subject("x"), 5)) as Message[];
      const resumed = await at.listen("x", { since: third?.id, replay: 1 });
      const fresh = await at.listen("x", { since: "", replay: 1 });
      const absent = await at.listen("x", { since: undefined, replay: 1 });
      await at.publish("x", "6");
      await until("all come", () =>
        [resumed, fresh, absent].every(({ texts }) => texts.at(-1) === "6"),
      );
      assert.deepEqual(resumed.texts, ["4", "5", "6"]);
      assert.deepEqual(fresh.texts, ["5", "6"]);
      assert.deepEqual(absent.texts, ["5", "6"]);
      assert.equal(resumed.subscription.recovered, true);
      assert.equal(fresh.subscription.recovered, undefined);
      assert.deepEqual(fresh.gaps, []);
    },
  },
  {
    name: "P3: a cursor that can't be resumed is said, and replay serves",
    async run(at) {
      await at.stream({ name: `${at.prefix}A`, subjects: ["x"], maxMsgs: 5 });
      await at.stream({ name: `${at.prefix}B`, subjects: ["other"] });
      await at.publish("x", "1");
      await at.publish("other", ...numbers(1, 8));
      const [trimmed] = (await at.backend.history(at.subject("x"), 1)) as [Message];
      const [foreign] = (await at.backend.history(at.subject("other"), 1)) as [Message];
      await at.publish("x", ...numbers(2, 9));
      const [, newest] = (await at.backend.history(at.subject("x"), 2)) as [Message, Message];
      const future = String(newest.id).replace(/\d+$/, (it) => `${it}9`);
      const wrong = [
        trimmed.id,
        foreign.id,
        future,
        `${newest.id}x`,
        "0",
        "-1",
        "$",
        "NaN",
        "9".repeat(500),
        "a\nid: b",
        "é\ud800",
        "constructor",
      ];
      for (const since of wrong) {
        const { subscription, texts, gaps } = await at.listen("x", { since, replay: 2 });
        assert.equal(subscription.recovered, false, since);
        await until("history serves, and the gap is told", () => texts.length + gaps.length >= 3);
        assert.deepEqual(texts, ["8", "9"], since);
        assert.deepEqual(gaps, [{ subject: at.subject("x"), reason: "cursor" }], since);
        await subscription.unsubscribe();
      }
      const without = await at.listen("x", { since: "0" });
      assert.equal(without.subscription.recovered, false);
      await at.publish("x", "10");
      await until("it is live", () => without.texts.length === 1);
      assert.deepEqual(without.texts, ["10"]);
    },
  },
  {
    name: "P3: the oldest cursor that still misses nothing is resumed",
    async run(at) {
      await at.stream({ maxMsgs: 3 });
      await at.publish("x", "1");
      const [first] = (await at.backend.history(at.subject("x"), 1)) as [Message];
      await at.publish("x", "2", "3", "4");
      const { subscription, texts } = await at.listen("x", { since: first.id });
      await until("all come", () => texts.length >= 3);
      assert.equal(subscription.recovered, true);
      assert.deepEqual(texts, ["2", "3", "4"]);
      const [newest] = (await at.backend.history(at.subject("x"), 1)) as [Message];
      const last = await at.listen("x", { since: newest.id });
      assert.equal(last.subscription.recovered, true);
      await at.publish("x", "5");
      await until("it is live", () => last.texts.length >= 1);
      assert.deepEqual(last.texts, ["5"]);
    },
  },
  {
    name: "P3: a history longer than the queue reaches a slow handler whole",
    async run(at) {
      await at.stream({ maxMsgs: 1000 });
      await at.publish("x", ...numbers(1, 300));
      const { texts, errors, gaps } = await at.listen("x", {
        replay: Infinity,
        queue: { limit: 20 },
        handle: () => new Promise(setImmediate),
      });
      await at.publish("x", ...numbers(301, 305));
      await until("all come", () => texts.length >= 305);
      assert.deepEqual(texts, numbers(1, 305));
      assert.deepEqual([errors, gaps], [[], []]);
    },
  },
  {
    name: "P3: publishers that cross are seen by everybody in one order, that of history",
    async run(at) {
      await at.stream();
      const listeners = await Promise.all([
        at.listen("x"),
        at.listen("*", { on: at.again }),
        at.listen("x", { replay: 10 }),
      ]);
      await Promise.all(
        numbers(1, 200).map((text) =>
          (Number(text) % 2 ? at.again : at.backend).publish(at.subject("x"), text),
        ),
      );
      const order = await at.history("x");
      assert.equal(order.length, 200);
      for (const { texts } of listeners) {
        await until("all come", () => texts.length >= 200);
        assert.deepEqual(texts, order);
      }
    },
  },
];
