import assert from "node:assert/strict";
import { textOf } from "../calls/payload.ts";
import { compareCursors } from "../cursor.ts";
import type { Message } from "../pubsub.ts";
import type { StreamConfig } from "../streams.ts";
import { type Case, numbers, rejects, until } from "./case.ts";

export const retention: readonly Case[] = [
  {
    name: "P4: a publish on a retained subject is stored when it resolves, also from elsewhere",
    async run(at) {
      await at.stream({ subjects: ["kept.>"] });
      for (const text of numbers(1, 20)) {
        const from = Number(text) % 2 ? at.again : at.backend;
        await from.publish(at.subject("kept.a"), text);
        assert.equal((await at.history("kept.a", 1))[0], text);
      }
      assert.deepEqual(await at.history("kept.a"), numbers(1, 20));
    },
  },
  {
    name: "history answers the last ones, oldest first, of a subject or a pattern",
    async run(at) {
      await at.stream();
      assert.deepEqual(await at.history("a"), []);
      for (const i of numbers(1, 30)) await at.publish(Number(i) % 3 ? "x.a" : "x.b", i);
      assert.deepEqual(await at.history("x.a", 0), []);
      assert.deepEqual(await at.history("x.a", 1), ["29"]);
      assert.deepEqual(await at.history("x.b", 3), ["24", "27", "30"]);
      assert.deepEqual(await at.history("x.*", 4), ["27", "28", "29", "30"]);
      assert.deepEqual(await at.history(">", 1000), numbers(1, 30));
      assert.deepEqual(await at.history("x.c"), []);
      const [message] = (await at.backend.history(at.subject("x.>"), 1)) as [Message];
      assert.equal(message.subject, at.subject("x.b"));
      assert.equal(message.replayed, true);
      assert.ok(Math.abs(message.time - Date.now()) < 600_000);
    },
  },
  {
    name: "P3: history after a cursor pages through what is retained, and refuses one that can't be resumed",
    async run(at) {
      await at.stream({ maxMsgs: 20 });
      for (const i of numbers(1, 30)) await at.publish(Number(i) % 2 ? "x.a" : "x.b", i);
      const subject = at.subject("x.a");
      const all = await at.backend.history(at.subject("x.*"), Infinity);
      const [first] = all;
      assert.ok(first?.id);
      const texts: string[] = [];
      let since: string | undefined = first.id;
      for (let pages = 0; since !== undefined && pages < 20; pages++) {
        const page: Message[] = await at.again.history(subject, 3, { since });
        assert.ok(page.length <= 3);
        texts.push(...page.map(({ data }) => textOf(data)));
        since = page.at(-1)?.id;
      }
      assert.deepEqual(texts, ["13", "15", "17", "19", "21", "23", "25", "27", "29"]);
      const last = all.at(-1)?.id ?? "";
      assert.deepEqual(await at.backend.history(subject, 5, { since: last }), []);
      assert.deepEqual(await at.backend.history(subject, 0, { since: first.id }), []);
      await at.publish("x.a", "31", "33");
      for (const cursor of [first.id, "", "x", "0", `${last}0`]) {
        await rejects(at.backend.history(subject, 1, { since: cursor }), "ERR_PUBSUB_CURSOR");
      }
    },
  },
  {
    name: "cursors of a stream compare in its order, whatever their subjects",
    async run(at) {
      await at.stream({ subjects: ["x.>"] });
      for (const i of numbers(1, 120)) await at.publish(`x.${Number(i) % 3}`, i);
      const messages = await at.backend.history(at.subject("x.>"), Infinity);
      const cursors = messages.map(({ id = "" }) => id);
      assert.equal(cursors.length, 120);
      for (const [i, a] of cursors.entries()) {
        for (const [j, b] of cursors.entries()) {
          assert.equal(Math.sign(compareCursors(a, b) ?? NaN), Math.sign(i - j));
        }
      }
      const { subscription } = await at.listen("x.1");
      assert.equal(compareCursors(subscription.cursor ?? "", cursors.at(-1) ?? ""), 0);
      await at.stream({ name: `${at.prefix}B`, subjects: ["other"] });
      await at.publish("other", "1");
      const [other] = await at.backend.history(at.subject("other"), 1);
      assert.equal(compareCursors(other?.id ?? "", cursors[0] ?? ""), undefined);
      for (const wrong of ["", "x", "a:b", "a.1.2"]) {
        assert.equal(compareCursors(wrong, cursors[0] ?? ""), undefined);
      }
    },
  },
  {
    name: "maxMsgs is exact on read, over all subjects of the stream",
    async run(at) {
      await at.stream({ maxMsgs: 10 });
      for (const i of numbers(1, 25)) await at.publish(`x.${Number(i) % 2}`, i);
      assert.deepEqual(await at.history(">"), numbers(16, 25));
      assert.deepEqual(await at.history("x.1"), ["17", "19", "21", "23", "25"]);
      const { texts } = await at.listen("x.*", { replay: Infinity });
      await until("no more and no less", () => texts.length >= 10);
      assert.deepEqual(texts, numbers(16, 25));
    },
  },
  {
    name: "maxAge is exact on read, also when nothing is published any more",
    async run(at) {
      const maxAge = at.opened.advance ? 60_000 : 2_000;
      await at.stream({ maxAge });
      await at.publish("x", "1", "2");
      const [first] = await at.backend.history(at.subject("x"), 1);
      assert.ok(first);
      if (at.opened.advance) await at.opened.advance(maxAge - 1);
      else await until("half of it goes by", () => Date.now() > first.time + maxAge / 2);
      await at.publish("x", "3");
      if (at.opened.advance) {
        assert.deepEqual(await at.history("x"), numbers(1, 3));
        await at.opened.advance(1);
        assert.deepEqual(await at.history("x"), ["3"]);
        await at.opened.advance(maxAge);
      }
      await until("it is empty", async () => (await at.history("x")).length === 0);
      const { texts } = await at.listen("x", { replay: 10 });
      // Again, as one that a busy machine reads too late is too old.
      await until("it comes", async () => {
        await at.publish("x", "4");
        return texts.length >= 1;
      });
      assert.deepEqual(new Set(texts), new Set(["4"]));
    },
  },
  {
    name: "ensureStream makes, keeps and changes a stream",
    async run(at) {
      await at.stream({ subjects: ["a.>"], maxMsgs: 5 });
      await at.publish("a.x", ...numbers(1, 8));
      await at.stream({ subjects: ["a.>"], maxMsgs: 5 });
      assert.deepEqual(await at.history("a.x"), numbers(4, 8));
      await at.stream({ subjects: ["a.>"], maxMsgs: 2 });
      assert.deepEqual(await at.history("a.x"), ["7", "8"]);
      await at.stream({ subjects: ["a.>", "b"], maxMsgs: 20 });
      await at.publish("b", "9");
      assert.deepEqual(await at.history("a.>"), ["7", "8"]);
      assert.deepEqual(await at.history("b"), ["9"]);
      await at.stream({ subjects: ["a.>"], maxMsgs: 20 });
      await rejects(at.history("b"), "ERR_PUBSUB_NOT_RETAINED");
      await at.stream({ name: `${at.prefix}B`, subjects: ["b"] });
      await at.publish("b", "10");
      assert.deepEqual(await at.history("b"), ["10"]);
    },
  },
  {
    name: "ensureStream refuses a subject that another stream retains, and changes nothing",
    async run(at) {
      await at.stream({ name: `${at.prefix}A`, subjects: ["a.>", "b.*"] });
      for (const subject of ["a.x", ">", "*.c", "b.>"]) {
        await rejects(
          at.stream({ name: `${at.prefix}B`, subjects: ["z", subject] }),
          "ERR_PUBSUB_STREAM",
        );
      }
      await rejects(
        at.stream({ name: `${at.prefix}B`, subjects: ["y", "y"] }),
        "ERR_PUBSUB_STREAM",
      );
      await at.stream({ name: `${at.prefix}B`, subjects: ["a", "b.x.y", "c"] });
      await rejects(at.history("z"), "ERR_PUBSUB_NOT_RETAINED");
    },
  },
  {
    name: "ensureStream refuses what can't be, before anything happens",
    async run({ backend }) {
      const refused: readonly (readonly [Partial<Record<keyof StreamConfig, unknown>>, string])[] =
        [
          [{ name: "" }, "PubSubError"],
          [{ name: "a.b" }, "PubSubError"],
          [{ name: "x".repeat(65) }, "PubSubError"],
          [{ subjects: [] }, "TypeError"],
          [{ subjects: "a" }, "TypeError"],
          [{ maxMsgs: 0 }, "RangeError"],
          [{ maxMsgs: 1.5 }, "RangeError"],
          [{ maxMsgs: "5" }, "TypeError"],
          [{ maxAge: 99 }, "RangeError"],
          [{ maxAge: -1 }, "RangeError"],
          [{ maxSize: 5 } as Partial<StreamConfig>, "TypeError"],
        ];
      for (const [wrong, name] of refused) {
        const config = { name: "x", subjects: ["x"], ...wrong } as StreamConfig;
        await assert.rejects(backend.ensureStream(config), { name }, JSON.stringify(wrong));
      }
    },
  },
  {
    name: "P3: what isn't wholly inside one stream has no history",
    async run(at) {
      await at.stream({ name: `${at.prefix}A`, subjects: ["a.*", "c"] });
      await at.stream({ name: `${at.prefix}B`, subjects: ["b.*"] });
      for (const name of ["plain", "a.>", "*.x", ">", "a", "a.b.c"]) {
        await rejects(at.history(name), "ERR_PUBSUB_NOT_RETAINED");
        await rejects(at.listen(name, { replay: 1 }), "ERR_PUBSUB_NOT_RETAINED");
        await rejects(at.listen(name, { since: "x" }), "ERR_PUBSUB_NOT_RETAINED");
      }
      const all = await at.listen(">");
      await at.publish("a.x", "1");
      await at.publish("plain", "2");
      await at.publish("b.x", "3");
      await until("it gets them live", () => all.texts.length === 3);
      assert.deepEqual([...all.texts].sort(), ["1", "2", "3"]);
      assert.deepEqual(await at.history("a.*"), ["1"]);
    },
  },
  {
    name: "P4: a messageId is stored and delivered once",
    async run(at) {
      await at.stream({ subjects: ["kept"] });
      const { texts } = await at.listen("kept");
      const subject = at.subject("kept");
      for (const messageId of ["a", "b", "a", "b", "c"]) {
        await at.backend.publish(subject, messageId, { messageId });
        await at.again.publish(subject, messageId, { messageId });
      }
      await until("each comes", () => texts.length >= 3);
      assert.deepEqual(texts, ["a", "b", "c"]);
      assert.deepEqual(await at.history("kept"), ["a", "b", "c"]);
      const { advance } = at.opened;
      if (advance) {
        const again = () => at.backend.publish(subject, "again", { messageId: "a" });
        await advance(110_000);
        await again();
        assert.equal((await at.history("kept")).length, 3);
        await advance(10_000);
        await again();
        assert.deepEqual(await at.history("kept"), ["a", "b", "c", "again"]);
      }
      for (const messageId of ["", "a b", "x".repeat(129), "é"]) {
        await assert.rejects(at.backend.publish(subject, "x", { messageId }), TypeError);
      }
    },
  },
  {
    name: "retained bytes come back as they were",
    async run(at) {
      await at.stream();
      const all = Uint8Array.from({ length: 256 }, (_, i) => i);
      await at.backend.publish(at.subject("x"), all);
      await at.backend.publish(at.subject("x"), new Uint8Array());
      await at.backend.publish(at.subject("x"), "é");
      const messages = await at.backend.history(at.subject("x"), 3);
      const bytes = messages.map(({ data }) =>
        typeof data === "string" ? Buffer.from(data) : Buffer.from(data),
      );
      assert.deepEqual(bytes[0], Buffer.from(all));
      assert.equal(bytes[1]?.length, 0);
      assert.equal(textOf(messages[2]?.data ?? ""), "é");
    },
  },
];
