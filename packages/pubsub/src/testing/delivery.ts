import assert from "node:assert/strict";
import { bytesOf } from "../calls/payload.ts";
import type { Gap, Message } from "../pubsub.ts";
import { type Case, numbers, type Place, type RecordedSubscription, until } from "./case.ts";
import { catchWarnings } from "./warnings.ts";

/** Throws in `onError` and `onGap`; each is a warning, and no subscription notices. */
async function throwInListeners(at: Place, warned: readonly string[]): Promise<void> {
  const { texts } = await at.listen("x", {
    handle() {
      throw new Error("thrown");
    },
    onError() {
      throw new Error("thrown again");
    },
  });
  await at.publish("x", "1", "2");
  await until("both come", () => texts.length === 2);
  await until("and are warnings", () => warned.length === 2);

  const { promise: stuck, resolve: release } = Promise.withResolvers<void>();
  const gaps: Gap[] = [];
  const slow = await at.listen("x", {
    queue: { limit: 1, overflow: "drop-oldest" },
    handle: () => stuck,
    onGap(gap) {
      gaps.push(gap);
      throw new Error("thrown");
    },
  });
  await at.publish("x", ...numbers(3, 6));
  await until("the other gets all", () => texts.length === 6);
  release();
  await until("it goes on behind the gap", () => slow.texts.length === 2);
  assert.deepEqual(slow.texts, ["3", "6"]);
  assert.deepEqual(gaps, [{ subject: at.subject("x"), reason: "overflow", count: 2 }]);
  await until("that is a warning too", () => warned.length === 7);
  assert.equal(slow.subscription.status, "live");
}

export const delivery: readonly Case[] = [
  {
    name: "P2: what is published after subscribe has resolved is delivered",
    async run(at) {
      for (let round = 0; round < 20; round++) {
        const exact = await at.listen(`round.${round}`);
        const pattern = await at.listen(`*.${round}`);
        await at.again.publish(at.subject(`round.${round}`), "now");
        await until("both get it", () => exact.texts.length === 1 && pattern.texts.length === 1);
      }
    },
  },
  {
    name: "P2: a message says where it was published and when, and has no cursor on a plain subject",
    async run(at) {
      const { messages, subscription } = await at.listen("a.*");
      await at.publish("a.b", "x");
      await until("it comes", () => messages.length === 1);
      const [message] = messages as [Message];
      assert.equal(message.subject, at.subject("a.b"));
      assert.equal(message.id, undefined);
      assert.equal(message.replayed, false);
      assert.ok(Number.isFinite(message.time));
      assert.equal(subscription.subject, at.subject("a.*"));
      assert.equal(subscription.status, "live");
      assert.equal(subscription.recovered, undefined);
      assert.equal(subscription.cursor, undefined);
    },
  },
  {
    name: "bytes arrive as they were: none, every value, 1 MiB, a view, a text",
    async run(at) {
      const all = Uint8Array.from({ length: 256 }, (_, i) => i);
      const large = new Uint8Array(2 ** 20).map((_, i) => i * 7);
      const view = new Uint8Array(new Uint8Array(100).map((_, i) => i).buffer, 10, 20);
      const text = "grüße, 日本語 😀 \u0000";
      const { messages, errors } = await at.listen("bytes");
      for (const data of [new Uint8Array(), all, large, view, text]) {
        await at.backend.publish(at.subject("bytes"), data);
      }
      await until("all come", () => messages.length === 5);
      const got = messages.map(({ data }) => Buffer.from(bytesOf(data)));
      const wanted = [new Uint8Array(), all, large, view, Buffer.from(text)];
      for (const [i, bytes] of wanted.entries()) {
        assert.equal(Buffer.compare(got[i] as Buffer, bytes), 0, `number ${i}`);
      }
      assert.deepEqual(errors, []);
    },
  },
  {
    name: "an array that is changed after publish was called arrives as it was",
    async run(at) {
      await at.stream({ subjects: ["kept"] });
      const plain = await at.listen("plain", { handle: () => new Promise(setImmediate) });
      const kept = await at.listen("kept", { handle: () => new Promise(setImmediate) });
      const data = new Uint8Array([1]);
      const published: Promise<void>[] = [];
      for (let i = 1; i <= 3; i++) {
        data[0] = i;
        published.push(at.backend.publish(at.subject("plain"), data));
        published.push(at.backend.publish(at.subject("kept"), data));
        data[0] = 9;
      }
      await Promise.all(published);
      for (const { messages } of [plain, kept]) {
        await until("all come", () => messages.length === 3);
        assert.deepEqual(
          messages.map((it) => bytesOf(it.data)[0]),
          [1, 2, 3],
        );
      }
    },
  },
  {
    name: "50 subscriptions of one subject get every message once, in order",
    async run(at) {
      const listeners = await Promise.all(
        Array.from({ length: 50 }, (_, i) =>
          at.listen(i % 2 ? "all" : "*", {
            on: i % 25 < 23 ? at.backend : at.again,
            queue: { limit: 5_000 },
          }),
        ),
      );
      const all = numbers(1, 5_000);
      for (let next = 0; next < all.length; next += 100) {
        await Promise.all(all.slice(next, next + 100).map((text) => at.publish("all", text)));
      }
      for (const { texts } of listeners) {
        await until("all come", () => texts.length >= all.length);
        assert.deepEqual(texts, all);
      }
    },
  },
  {
    name: "20 subjects don't hear each other, nor those that begin alike",
    async run(at) {
      const names = ["x", "x.y", "x-1", "x-2", ...numbers(1, 16)];
      const listeners = await Promise.all(names.map((name) => at.listen(name)));
      await Promise.all(
        names.map((name) => at.publish(name, ...numbers(1, 100).map((it) => `${name} ${it}`))),
      );
      for (const [i, { texts }] of listeners.entries()) {
        await until("all come", () => texts.length >= 100);
        assert.deepEqual(
          texts,
          numbers(1, 100).map((it) => `${names[i]} ${it}`),
        );
      }
    },
  },
  {
    name: "messages of one publisher keep their order, also over several subjects",
    async run(at) {
      const { texts } = await at.listen(">");
      for (let i = 1; i <= 1000; i++) await at.publish(`s${i % 7}.x`, String(i));
      await until("all come", () => texts.length >= 1000);
      assert.deepEqual(texts, numbers(1, 1000));
    },
  },
  {
    name: "what a handler publishes comes after what it handles, for everybody",
    async run(at) {
      const first = await at.listen(">", {
        handle: ({ subject }) =>
          subject === at.subject("question") && at.backend.publish(at.subject("answer"), "a"),
      });
      const second = await at.listen(">");
      await at.publish("question", "q");
      for (const { texts } of [first, second]) {
        await until("both come", () => texts.length === 2);
        assert.deepEqual(texts, ["q", "a"]);
      }
    },
  },
  {
    name: "who is subscribed inside a handler gets what comes after the message that it handles",
    async run(at) {
      const inner: RecordedSubscription[] = [];
      const outer = await at.listen("x", {
        async handle() {
          inner.push(await at.listen("x"));
        },
      });
      for (const text of numbers(1, 4)) {
        await at.publish("x", text);
        await until("it has been handled", () => inner.length === Number(text));
      }
      for (const [i, { texts }] of [outer, ...inner].entries()) {
        await until("all come", () => i === 4 || texts.at(-1) === "4");
        assert.deepEqual(texts, numbers(1 + i, 4));
      }
    },
  },
  {
    name: "overlapping subscriptions, and one handler subscribed twice, get one each",
    async run(at) {
      const heard: string[] = [];
      const hear = (name: string) => () => heard.push(name);
      const twice = hear("twice");
      const { backend } = at;
      for (const name of ["d.a", "d.*", "d.>", "*.a"]) {
        await backend.subscribe(at.subject(name), hear(name));
      }
      await backend.subscribe(at.subject("d.a"), twice);
      await backend.subscribe(at.subject("d.a"), twice);
      await at.publish("d.a", "1");
      await at.publish("d.a", "2");
      await until("all come", () => heard.length >= 12);
      const once = ["*.a", "d.*", "d.>", "d.a", "twice", "twice"];
      assert.deepEqual(heard.sort(), [...once, ...once].sort());
    },
  },
  {
    name: "a handler is called for one message at a time",
    async run(at) {
      let running = 0;
      let most = 0;
      const { texts } = await at.listen("slowly", {
        async handle() {
          running += 1;
          most = Math.max(most, running);
          await new Promise(setImmediate);
          running -= 1;
        },
      });
      await at.publish("slowly", ...numbers(1, 50));
      await until("all come", () => texts.length === 50);
      assert.equal(most, 1);
      assert.deepEqual(texts, numbers(1, 50));
    },
  },
  {
    name: "P6: a handler that throws or rejects is reported once each time, and harms nobody",
    async run(at) {
      const broken = await at.listen("x", {
        handle: ({ data }) => {
          const text = Buffer.from(bytesOf(data)).toString();
          if (text === "2") throw new Error("thrown");
          if (text === "3") return Promise.reject(new Error("rejected"));
          return undefined;
        },
      });
      const sound = await at.listen("x");
      await at.publish("x", ...numbers(1, 5));
      for (const { texts } of [broken, sound]) {
        await until("all come", () => texts.length === 5);
        assert.deepEqual(texts, numbers(1, 5));
      }
      await until("both are told", () => broken.errors.length >= 2);
      assert.deepEqual(
        broken.errors.map(({ code, cause }) => [code, (cause as Error).message]),
        [
          ["ERR_PUBSUB_HANDLER", "thrown"],
          ["ERR_PUBSUB_HANDLER", "rejected"],
        ],
      );
      assert.deepEqual(sound.errors, []);
      assert.equal(broken.subscription.status, "live");
    },
  },
  {
    name: "P6: an onError or onGap that throws harms nobody",
    async run(at) {
      const { caught, restore } = catchWarnings(at.prefix);
      try {
        await throwInListeners(at, caught);
      } finally {
        restore();
      }
    },
  },
];
