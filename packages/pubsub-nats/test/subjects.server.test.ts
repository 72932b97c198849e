import { randomInt } from "node:crypto";
import { matchesSubject, SubjectIndex } from "@lanai/pubsub/backend";
import { natsPubSub } from "@lanai/pubsub-nats";
import { expect, test } from "vitest";
import { startNats } from "../../../scripts/services/nats.ts";
import { keepReservedOutOfStreams } from "../../pubsub/test/reserved-streams.ts";
import { connectTo } from "./servers.ts";

const TOKENS = [
  "a",
  "b",
  "A",
  "ab",
  "0",
  "01",
  "é",
  "e\u0301",
  "😀",
  "a?",
  "[ab]",
  "\\a",
  "#",
  "+",
];
const HOSTILE = ["__proto__", "constructor", "toString", "%2A", "-", "_INBOX", "{}", "'", '"'];

/** Whole numbers below `n`, the same ones for the same seed (mulberry32). */
const randomFrom = (seed: number) => {
  let state = seed;
  return (n: number): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
};

test("330 random patterns and 330 subjects match on a real server as they do here", async () => {
  const seed = Number(process.env.LANAI_SEED ?? randomInt(2 ** 31));
  const random = randomFrom(seed);
  const all = [...TOKENS, ...HOSTILE];
  // Mostly of few tokens, so that many match.
  const token = () => all[random(random(4) === 0 ? all.length : 3)] as string;
  const tokens = () => Array.from({ length: 1 + random(4) }, token);
  const subjects = new Set<string>();
  while (subjects.size < 330) subjects.add(tokens().join("."));
  const patterns = new Set<string>();
  while (patterns.size < 330) {
    const pattern = tokens().map((it) => (random(3) === 0 ? "*" : it));
    if (random(3) === 0) pattern[pattern.length - 1] = ">";
    patterns.add(pattern.join("."));
  }

  await using server = await startNats({ jetstream: false });
  const connection = await connectTo(server);
  const real = new Set<string>();
  for (const pattern of patterns) {
    connection.subscribe(pattern, {
      callback: (_, { subject }) => void real.add(`${pattern} ${subject}`),
    });
  }
  await connection.flush();
  for (const subject of subjects) connection.publish(subject);
  await connection.flush();
  await connection.close();

  const index = new SubjectIndex<string>();
  for (const pattern of patterns) index.add(pattern, pattern);
  const ours = new Set<string>();
  for (const subject of subjects) {
    for (const pattern of patterns) {
      if (matchesSubject(pattern, subject)) ours.add(`${pattern} ${subject}`);
    }
    const found = index.match(subject).map((pattern) => `${pattern} ${subject}`);
    const same = found.length === new Set(found).size && found.every((it) => ours.has(it));
    expect(same, `the index at ${subject}, with LANAI_SEED=${seed}`).toBe(true);
  }
  const differences = [...real, ...ours].filter((pair) => !real.has(pair) || !ours.has(pair));
  expect(differences, `with LANAI_SEED=${seed}`).toEqual([]);
  expect(real.size, `with LANAI_SEED=${seed}`).toBeGreaterThan(1_000);
});

test("C9: the widest stream retains no reserved subject", async () => {
  await using server = await startNats();
  const connection = await connectTo(server);
  const backend = natsPubSub(connection);
  await keepReservedOutOfStreams(backend);
  await backend.close();
  await connection.close();
});
