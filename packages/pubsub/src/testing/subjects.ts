import assert from "node:assert/strict";
import type { PubSubError } from "../errors.ts";
import { type Case, type Place, type RecordedSubscription, until } from "./case.ts";
import { randomFrom } from "./random.ts";
import { INVALID, MATCHES, PATTERNS } from "./subject-cases.ts";

/** The rules of NATS, worked out apart from the code under test. */
function naiveMatch(pattern: string, subject: string): boolean {
  const tokens = subject.split(".");
  const wanted = pattern.split(".");
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === ">") return tokens.length > i;
    if (i >= tokens.length) return false;
    if (wanted[i] !== "*" && wanted[i] !== tokens[i]) return false;
  }
  return wanted.length === tokens.length;
}

const TOKENS = [
  "a",
  "b",
  "ab",
  "a-b",
  "[ab]",
  "a?",
  "\\a",
  "^",
  "__proto__",
  "é",
  "😀",
  "01",
  "$x",
];

function randomSubject(random: (n: number) => number): string {
  return Array.from({ length: 1 + random(4) }, () => TOKENS[random(TOKENS.length)]).join(".");
}

function randomPattern(random: (n: number) => number): string {
  const tokens = Array.from({ length: 1 + random(4) }, () =>
    random(3) === 0 ? "*" : TOKENS[random(random(2) ? 3 : TOKENS.length)],
  );
  if (random(4) === 0) tokens[tokens.length - 1] = ">";
  return tokens.join(".");
}

/** Publishes every subject twice, and checks that each pattern got what it must and nothing else. */
async function check(
  at: Place,
  patterns: readonly string[],
  subjects: readonly string[],
  message = "",
): Promise<void> {
  const listeners = new Map<string, RecordedSubscription>();
  for (const pattern of patterns) {
    listeners.set(pattern, await at.listen(pattern, { queue: { limit: 10_000 } }));
  }
  for (let round = 0; round < 2; round++) {
    for (const subject of subjects) await at.publish(subject, subject);
  }
  for (const [pattern, { messages, texts }] of listeners) {
    const wanted = subjects.filter((subject) => naiveMatch(pattern, subject));
    await until(
      `${pattern} matches what it must${message}`,
      () => texts.length >= 2 * wanted.length,
    );
    // What came too often or wrongly in the first round pushes the second one's out of its place.
    assert.deepEqual(texts, [...wanted, ...wanted], `${pattern}${message}`);
    assert.deepEqual(
      messages.map(({ subject }) => subject),
      texts.map((it) => at.subject(it)),
    );
  }
}

export const subjects: readonly Case[] = [
  {
    name: "P1: subjects match by the rules of NATS, to the token",
    async run(at) {
      for (const [pattern, subject, matches] of MATCHES) {
        assert.equal(naiveMatch(pattern, subject), matches, `${pattern} ${subject}`);
      }
      const patterns = new Set(MATCHES.map(([pattern]) => pattern));
      const published = new Set(MATCHES.map(([, subject]) => subject));
      await check(at, [...patterns], [...published]);
    },
  },
  {
    name: "P1: 100,000 random pairs of a pattern and a subject match as a naive matcher says",
    async run(at) {
      const random = randomFrom(at.seed);
      const patterns = new Set<string>();
      while (patterns.size < 250) patterns.add(randomPattern(random));
      const published = new Set<string>();
      while (published.size < 400) published.add(randomSubject(random));
      await check(at, [...patterns], [...published], `, with the seed ${at.seed}`);
    },
  },
  {
    name: "P1: a subject that can't be is refused by every call, with the position",
    async run({ backend }) {
      const refused = async (subject: string, call: Promise<unknown>) => {
        await assert.rejects(call, (error: Partial<PubSubError>) => {
          assert.equal(error.code, "ERR_PUBSUB_SUBJECT", JSON.stringify(subject));
          const { index = NaN } = error;
          // Behind the end is where a token is missing.
          assert.ok(
            index >= 0 && index <= subject.length,
            `${index} in ${JSON.stringify(subject)}`,
          );
          return true;
        });
      };
      for (const subject of INVALID) {
        await refused(subject, backend.publish(subject, "x"));
        await refused(
          subject,
          backend.subscribe(subject, () => {}),
        );
        await refused(subject, backend.history(subject, 1));
        await refused(subject, backend.ensureStream({ name: "x", subjects: [subject] }));
      }
      for (const subject of PATTERNS) await refused(subject, backend.publish(subject, "x"));
    },
  },
  {
    name: "P1: a subject of 1,024 bytes goes through whole",
    async run(at) {
      const name = "x".repeat(1024 - at.subject("").length);
      const listener = await at.listen(name);
      const pattern = await at.listen("*");
      await at.publish(name, "1");
      await until("both get it", () => listener.texts.length + pattern.texts.length === 2);
      assert.equal(listener.messages[0]?.subject.length, 1024);
    },
  },
];
