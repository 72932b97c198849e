import assert from "node:assert/strict";
import { textOf } from "../calls/payload.ts";
import type { PubSub } from "../pubsub.ts";
import { libraryPubSub } from "../subjects/reserved.ts";
import { type Case, type Place, rejects, until } from "./case.ts";

const NAME = "conformance";

/** Returns the spellings by which an app may try to reach a reserved subject. */
const attempts = (at: Place): readonly string[] => [
  `$lanai.${NAME}.${at.prefix}`,
  `$lanai.${NAME}.*`,
  `$lanai.${NAME}.>`,
  "$lanai.>",
  "$lanai",
  "$.>",
];

/** Subscribes a library subject and returns the texts that come. */
async function listenInside(pubsub: PubSub, subject: string): Promise<string[]> {
  const texts: string[] = [];
  await libraryPubSub(pubsub, NAME).subscribe(subject, (message) => {
    assert.equal(message.subject, subject, "the prefix is taken off");
    texts.push(textOf(message.data));
  });
  return texts;
}

export const reserved: readonly Case[] = [
  {
    name: "C9: calls of an app reject the reserved subjects",
    async run(at) {
      const refused = "ERR_PUBSUB_SUBJECT";
      for (const subject of attempts(at)) {
        for (const backend of new Set([at.backend, at.again])) {
          await rejects(backend.publish(subject, "x"), refused);
          await rejects(
            backend.subscribe(subject, () => {}),
            refused,
          );
          await rejects(backend.history(subject, 1), refused);
          await rejects(backend.ensureStream({ name: "x", subjects: [subject] }), refused);
        }
      }
    },
  },
  {
    name: "C9: packages reach each other on their subjects in every process, and no wildcard of an app does",
    async run(at) {
      const heard = await Promise.all([
        listenInside(at.backend, at.prefix),
        listenInside(at.again, at.prefix),
      ]);
      const app: string[] = [];
      for (const pattern of [
        ">",
        "*.>",
        "*.*.>",
        "*.*.*",
        `*.${NAME}.*`,
        `*.${NAME}.${at.prefix}`,
      ]) {
        for (const backend of new Set([at.backend, at.again])) {
          const hears = backend.subscribe(pattern, ({ subject }) => {
            if (subject.includes(NAME)) app.push(subject);
          });
          // A backend may refuse a wildcard as the first token.
          await hears.catch(({ code }) => assert.equal(code, "ERR_PUBSUB_SUBJECT"));
        }
      }
      const fence = await at.listen("fence");
      await libraryPubSub(at.backend, NAME).publish(at.prefix, "1");
      await libraryPubSub(at.again, NAME).publish(at.prefix, "2");
      await until("both processes hear both", () => heard.every((texts) => texts.length === 2));
      await at.publish("fence", "end");
      await until("what was published after them comes", () => fence.texts.length === 1);
      for (const texts of heard) assert.deepEqual([...texts].sort(), ["1", "2"]);
      assert.deepEqual(app, []);
    },
  },
  {
    name: "C9: a package has streams of its own, which no call of an app reaches",
    async run(at) {
      const config = { name: at.prefix, subjects: [`${at.prefix}.a`, `${at.prefix}.b`] };
      const [one, other] = [at.backend, at.again].map((it) => libraryPubSub(it, NAME));
      assert.ok(one && other);
      for (const it of [one, other]) await it.ensureStream(config);
      await one.publish(`${at.prefix}.a`, "1", { messageId: "once" });
      await other.publish(`${at.prefix}.a`, "2", { messageId: "once" });
      await other.publish(`${at.prefix}.b`, "3");
      const texts: string[] = [];
      await other.subscribe(`${at.prefix}.a`, ({ data }) => void texts.push(textOf(data)), {
        replay: 10,
      });
      await until("history comes", () => texts.length >= 1);
      await one.publish(`${at.prefix}.a`, "4");
      await until("live messages come", () => texts.length >= 2);
      assert.deepEqual(texts, ["1", "4"]);
      const history = await one.history(`${at.prefix}.a`, 10);
      assert.deepEqual(
        history.map(({ subject, data }) => [subject, textOf(data)]),
        texts.map((text) => [`${at.prefix}.a`, text]),
      );
      const [reserved] = [`$lanai.${NAME}.${at.prefix}.a`];
      await rejects(at.backend.history(reserved, 1), "ERR_PUBSUB_SUBJECT");
      const named = { name: `$lanai-${NAME}-${at.prefix}`, subjects: [at.subject("x")] };
      await rejects(at.backend.ensureStream(named), "ERR_PUBSUB_SUBJECT");
    },
  },
  {
    name: "C9: an app's subject of the same text is another one",
    async run(at) {
      const inside = await listenInside(at.backend, at.subject("x"));
      const outside = await at.listen("x");
      await at.publish("x", "app");
      await libraryPubSub(at.backend, NAME).publish(at.subject("x"), "library");
      await until("both come", () => inside.length + outside.texts.length >= 2);
      assert.deepEqual([inside, outside.texts], [["library"], ["app"]]);
    },
  },
  {
    name: "C9: the subjects of a package are literal and those of another package are others",
    async run(at) {
      const library = libraryPubSub(at.backend, NAME);
      for (const subject of ["*", `${at.prefix}.>`, "", "a b"]) {
        await rejects(library.publish(subject, "x"), "ERR_PUBSUB_SUBJECT");
        await rejects(
          library.subscribe(subject, () => {}),
          "ERR_PUBSUB_SUBJECT",
        );
      }
      assert.throws(() => libraryPubSub(at.backend, "a.b"), TypeError);
      const past = library.subscribe(at.prefix, () => {}, { replay: 1 });
      await rejects(past, "ERR_PUBSUB_NOT_RETAINED");
      const inside = await listenInside(at.backend, at.prefix);
      await libraryPubSub(at.backend, "other").publish(at.prefix, "other");
      await library.publish(at.prefix, "own");
      await until("one comes", () => inside.length > 0);
      assert.deepEqual(inside, ["own"]);
    },
  },
];
