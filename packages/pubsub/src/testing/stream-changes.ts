import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { PubSubEvent } from "../events.ts";
import { type Case, numbers, type Place, type RecordedSubscription, until } from "./case.ts";

/** Makes or changes a stream from one of the two instances. */
const ensure = (
  at: Place,
  from: "backend" | "again",
  suffix: string,
  ...subjects: readonly string[]
): Promise<void> =>
  at[from].ensureStream({
    name: `${at.prefix}${suffix}`,
    subjects: subjects.map((it) => at.subject(it)),
  });

/** Subscribes in every way: live and replayed, exact and by pattern, here and elsewhere. */
const listenEverywhere = (at: Place, name: string): Promise<RecordedSubscription[]> =>
  Promise.all([
    at.listen(name),
    at.listen(name, { replay: 10 }),
    at.listen(name.replace(/[^.]+$/, "*"), { on: at.again }),
    at.listen(name, { on: at.again, replay: Infinity }),
  ]);

/** Publishes until every listener has heard one message; resolves to all that was published. */
async function publishUntilHeard(
  at: Place,
  name: string,
  listeners: readonly RecordedSubscription[],
  first: number,
): Promise<string[]> {
  const published: string[] = [];
  await until("everybody hears again", async () => {
    const text = `${first + published.length}`;
    const from = published.length % 2 ? at.again : at.backend;
    await from.publish(at.subject(name), text);
    published.push(text);
    const isHeard = () => listeners.every(({ texts }) => texts.at(-1) === text);
    for (let polls = 0; polls < 25 * published.length && !isHeard(); polls++) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return isHeard();
  });
  return published;
}

/** Asserts that a listener got each message once and in order, or a report that some are missing. */
function whole(listener: RecordedSubscription, published: readonly string[]): void {
  const { texts, gaps, errors, subscription } = listener;
  assert.deepEqual(
    texts,
    published.filter((it) => texts.includes(it)),
    "in the order of the publishes, each once",
  );
  const missing = published.length - texts.length;
  if (gaps.length === 0) assert.equal(missing, 0, `${missing} are missing, and no gap is reported`);
  assert.deepEqual(errors, []);
  assert.notEqual(subscription.status, "closed");
}

export const streamChanges: readonly Case[] = [
  {
    name: "P11: calls of ensureStream for one stream with other subjects at the same time are reported",
    async run(at) {
      const reports: (string | undefined)[] = [];
      const keep = (event: unknown): void => {
        const { level, subject, message } = event as PubSubEvent;
        if (level === "warn" && subject === `${at.prefix}s`) reports.push(message);
      };
      subscribe("lanai:pubsub:stream", keep);
      try {
        await Promise.all([
          ensure(at, "backend", "s", "a", "b"),
          ensure(at, "backend", "s", "b", "a"),
        ]);
        assert.equal(reports.length, 0, "the same subjects in another order are the same");
        await Promise.all([ensure(at, "backend", "s", "a", "b"), ensure(at, "backend", "s", "a")]);
      } finally {
        unsubscribe("lanai:pubsub:stream", keep);
      }
      const found = reports.filter((it) => it?.includes("at the same time"));
      assert.equal(found.length, 1, `one report that says so, of ${JSON.stringify(reports)}`);
    },
  },
  ...(["backend", "again"] as const).map(
    (from): Case => ({
      name: `P11: a subject that leaves its stream is heard on, changed ${from === "again" ? "elsewhere" : "here"}`,
      async run(at) {
        await ensure(at, "backend", "", "chat.>", "dm.>");
        const listeners = await listenEverywhere(at, "dm.a");
        await at.publish("dm.a", "1");
        await until("all get it", () => listeners.every(({ texts }) => texts.length === 1));
        await ensure(at, from, "", "chat.>");
        const published = await publishUntilHeard(at, "dm.a", listeners, 2);
        for (const listener of listeners) whole(listener, ["1", ...published]);
      },
    }),
  ),
  {
    name: "P11: a plain subject that a stream begins to retain is heard on, with cursors that resume",
    async run(at) {
      const { backend, again } = at;
      const listeners = await Promise.all([
        at.listen("dm.a"),
        at.listen("dm.*", { on: again }),
        at.listen(">"),
      ]);
      await at.publish("dm.a", "1");
      await until("all get it", () => listeners.every(({ texts }) => texts.length === 1));
      await ensure(at, "again", "", "dm.>");
      const published = await publishUntilHeard(at, "dm.a", listeners, 2);
      const all = ["1", ...published];
      for (const listener of listeners) whole(listener, all);
      let next = Number(published.at(-1));
      for (const listener of listeners.slice(0, 2)) {
        await until("messages have cursors", async () => {
          next += 1;
          all.push(`${next}`);
          await backend.publish(at.subject("dm.a"), `${next}`);
          // One that crosses the change of the source may be missing, and then is reported.
          const { length } = listener.gaps;
          const isTold = () => listener.gaps.length > length;
          await until("it comes", () => listener.texts.at(-1) === `${next}` || isTold());
          return listener.messages.at(-1)?.id !== undefined;
        });
        whole(listener, all);
        const { cursor } = listener.subscription;
        assert.equal(cursor, listener.messages.at(-1)?.id);
        next += 1;
        all.push(`${next}`);
        await again.publish(at.subject("dm.a"), `${next}`);
        const resumed = await at.listen("dm.a", { since: cursor });
        assert.equal(resumed.subscription.recovered, true);
        await until("the one after it comes", () => resumed.texts.at(-1) === `${next}`);
        assert.deepEqual(resumed.texts, [`${next}`]);
      }
    },
  },
  {
    name: "P11: a subject that moves to another stream is heard on",
    async run(at) {
      await ensure(at, "backend", "A", "chat.>", "dm.>");
      const listeners = await listenEverywhere(at, "dm.a");
      await at.publish("dm.a", "1");
      await until("all get it", () => listeners.every(({ texts }) => texts.length === 1));
      await ensure(at, "again", "A", "chat.>");
      await ensure(at, "again", "B", "dm.>");
      const published = await publishUntilHeard(at, "dm.a", listeners, 2);
      for (const listener of listeners) whole(listener, ["1", ...published]);
      // A publisher that hasn't heard of the new stream yet may still send a plain message.
      let probes = 0;
      await until("it is retained", async () => {
        probes += 1;
        await at.publish("dm.a", `probe ${probes}`);
        return (await at.history("dm.a", 1))[0] === `probe ${probes}`;
      });
    },
  },
  {
    name: "P11: a stream that gets more subjects, others, and the first ones again is heard throughout",
    async run(at) {
      await ensure(at, "backend", "", "dm.>");
      const listeners = await listenEverywhere(at, "dm.a");
      const all: string[] = [];
      const changes = [["dm.>", "chat.>"], ["chat.>"], ["dm.a", "chat.>"], ["dm.*"], ["dm.>"]];
      for (const [i, subjects] of changes.entries()) {
        await ensure(at, i % 2 ? "again" : "backend", "", ...subjects);
        all.push(...(await publishUntilHeard(at, "dm.a", listeners, all.length + 1)));
      }
      for (const listener of listeners) whole(listener, all);
    },
  },
  {
    name: "P11: a limit that changes, or the same again, disturbs no subscription",
    async run(at) {
      await ensure(at, "backend", "", "dm.>");
      const listeners = await listenEverywhere(at, "dm.a");
      for (const text of numbers(1, 10)) {
        await at.publish("dm.a", text);
        if (Number(text) === 5) await ensure(at, "again", "", "dm.>");
      }
      await until("all come", () => listeners.every(({ texts }) => texts.length === 10));
      for (const { texts, gaps } of listeners) {
        assert.deepEqual(texts, numbers(1, 10));
        assert.deepEqual(gaps, []);
      }
    },
  },
  {
    name: "P10: what one publisher sends while its subject comes and goes arrives in order, each once",
    async run(at) {
      await ensure(at, "backend", "", "chat.>", "dm.>");
      const listeners = [await at.listen("dm.a"), await at.listen("dm.a", { on: at.again })];
      const wide = await at.listen(">");
      const sent: Promise<string | undefined>[] = [];
      const send = (text: string) => {
        const publishing = at.backend.publish(at.subject("dm.a"), text);
        sent.push(
          publishing.then(
            () => text,
            () => undefined,
          ),
        );
      };
      const changes = [["chat.>"], ["chat.>", "dm.>"], ["chat.>"], ["chat.>", "dm.>"]];
      let next = 1;
      for (const subjects of changes) {
        const changing = ensure(at, "again", "", ...subjects);
        let isChanging = true;
        const done = () => {
          isChanging = false;
        };
        changing.then(done, done);
        for (let sentNow = 0; isChanging || sentNow < 10; sentNow++) {
          if (sentNow < 200) send(`${next++}`);
          await new Promise(setImmediate);
        }
        await changing;
      }
      await Promise.all(sent);
      const last = `${next}`;
      await until("all is quiet", async () => {
        await at.backend.publish(at.subject("dm.a"), last);
        return [...listeners, wide].every(({ texts }) => texts.at(-1) === last);
      });
      for (const { texts } of [...listeners, wide]) {
        const before = texts.filter((text) => text !== last).map(Number);
        const wrong = before.findIndex((it, i) => i > 0 && it <= (before[i - 1] as number));
        assert.equal(wrong, -1, `${before[wrong]} comes after ${before[wrong - 1]}`);
      }
    },
  },
  {
    name: "P11: instances that ask for one stream with different subjects at once all go on",
    async run(at) {
      const made = await Promise.allSettled([
        ensure(at, "backend", "", "base", "x"),
        ensure(at, "again", "", "base", "y"),
      ]);
      assert.deepEqual(
        made.map(({ status }) => status),
        ["fulfilled", "fulfilled"],
      );
      for (const name of ["base", "x", "y"]) {
        const listeners = [await at.listen(name), await at.listen(name, { on: at.again })];
        const published = await publishUntilHeard(at, name, listeners, 1);
        for (const listener of listeners) whole(listener, published);
      }
      assert.ok((await at.history("base")).length > 0);
    },
  },
];
