import assert from "node:assert/strict";
import { bytesOf } from "../calls/payload.ts";
import { type Case, numbers, type Place, until } from "./case.ts";

/** Repeats a publish until it is stored once, however often the broker is unreachable. */
async function persist(at: Place, name: string, text: string): Promise<void> {
  await until(
    `${text} is stored`,
    () =>
      at.backend.publish(at.subject(name), text, { messageId: `${at.prefix}-${text}` }).then(
        () => true,
        () => false,
      ),
    60_000,
  );
}

export const network: readonly Case[] = [
  {
    name: "two instances hear each other and themselves",
    needs: "network",
    async run(at) {
      assert.notEqual(at.again, at.backend, "open() gives a second instance");
      const here = await at.listen("x");
      const there = await at.listen("*", { on: at.again });
      for (const text of numbers(1, 100)) {
        await (Number(text) % 2 ? at.backend : at.again).publish(at.subject("x"), text);
      }
      for (const { texts } of [here, there]) {
        await until("both get all", () => texts.length >= 100);
        assert.deepEqual(
          [...texts].sort((a, b) => Number(a) - Number(b)),
          numbers(1, 100),
        );
      }
    },
  },
  {
    name: "subscriptions of one process share those on the wire, and leave none behind",
    needs: "network",
    async run(at) {
      const { wire } = at.opened;
      assert.ok(wire, "open() tells the subscriptions on the wire");
      await at.stream({ subjects: ["kept.>"] });
      const warm = await at.listen("kept.a");
      await warm.subscription.unsubscribe();
      const settled = await wire();
      const listeners = await Promise.all(
        numbers(1, 100).map((i) => at.listen(["x", "y.*", "z.>", "kept.a"][Number(i) % 4] ?? "x")),
      );
      assert.ok((await wire()) - settled <= 8, "100 subscriptions are few on the wire");
      const aborted = new AbortController();
      const pending = numbers(1, 50).map((i) =>
        at.listen(Number(i) % 2 ? "x" : `a${i}.*`, { signal: aborted.signal }),
      );
      aborted.abort();
      await Promise.all(pending);
      await Promise.all(listeners.map(({ subscription }) => subscription.unsubscribe()));
      await until("as many as before", async () => (await wire()) <= settled);
    },
  },
  {
    name: "P5: while the broker is killed and restarted, retained subjects stay whole and plain ones report a gap",
    needs: "restart",
    async run(at) {
      const { restart } = at.opened;
      assert.ok(restart, "open() can restart the broker");
      await at.stream({ subjects: ["kept.>"], maxMsgs: 20_000 });
      // One process may be slower than the other.
      const queue = { limit: 20_000 };
      const kept = await at.listen("kept.a", { queue });
      const pattern = await at.listen("kept.*", { queue, replay: Infinity, on: at.again });
      const plain = await at.listen("plain");
      const restarts: Promise<void>[] = [];
      for (const text of numbers(1, 10_000)) {
        if (text === "3333" || text === "5000") {
          await Promise.all(restarts);
          restarts.push(restart());
        }
        await persist(at, "kept.a", text);
      }
      await Promise.all(restarts);
      for (const { texts, gaps, errors } of [kept, pattern]) {
        await until("all come", () => texts.length >= 10_000, 60_000);
        assert.deepEqual(texts, numbers(1, 10_000));
        assert.deepEqual([gaps, errors], [[], []]);
      }
      await until("the gap is told", () => plain.gaps.length > 0);
      for (const gap of plain.gaps) {
        assert.deepEqual(gap, { subject: at.subject("plain"), reason: "reconnect" });
      }
      assert.deepEqual(plain.errors, []);
      await until(
        "plain subjects go on",
        async () => {
          await at.backend.publish(at.subject("plain"), "again").catch(() => {});
          return plain.texts.length > 0;
        },
        60_000,
      );
      assert.equal(kept.subscription.status, "live");
      await at.publish("kept.a", "last");
      await until("all is live", () => kept.texts.at(-1) === "last");
    },
  },
  {
    name: "P5: a large message crosses a restart like a small one",
    needs: "restart",
    async run(at) {
      const { restart } = at.opened;
      assert.ok(restart, "open() can restart the broker");
      await at.stream({ subjects: ["kept"] });
      const { messages } = await at.listen("kept", { replay: 10 });
      const large = new Uint8Array(900_000).fill(7);
      await at.backend.publish(at.subject("kept"), large);
      await restart();
      await persist(at, "kept", "small");
      await until("both come", () => messages.length >= 2, 60_000);
      assert.deepEqual(
        messages.map(({ data }) => bytesOf(data).length),
        [900_000, 5],
      );
    },
  },
];
