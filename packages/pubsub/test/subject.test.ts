import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type PubSubError, token } from "@lanai/pubsub";
import {
  covers,
  matchesSubject,
  overlaps,
  SubjectIndex,
  validateSubject,
} from "@lanai/pubsub/backend";
import { describe, expect, test } from "vitest";
import { subjectMatcher } from "../src/subjects/subject.ts";

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));

function naive(pattern: string, subject: string): boolean {
  const tokens = subject.split(".");
  const wanted = pattern.split(".");
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === ">") return tokens.length > i;
    if (i >= tokens.length) return false;
    if (wanted[i] !== "*" && wanted[i] !== tokens[i]) return false;
  }
  return wanted.length === tokens.length;
}

const randomFrom = (seed: number) => {
  let state = seed;
  return (n: number) => {
    state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * n);
  };
};
const TOKENS = ["a", "b", "c", "__proto__", "constructor", "[a]", "a?", "+", "é"];
const subjectOf = (random: (n: number) => number): string =>
  Array.from({ length: 1 + random(4) }, () => TOKENS[random(TOKENS.length)]).join(".");
const patternOf = (random: (n: number) => number): string => {
  const tokens = Array.from({ length: 1 + random(4) }, () =>
    random(3) === 0 ? "*" : TOKENS[random(TOKENS.length)],
  );
  if (random(4) === 0) tokens[tokens.length - 1] = ">";
  return tokens.join(".");
};

describe(`with the seed ${SEED}`, () => {
  test("250,000 pairs of the index, of a matcher and of one question are as a naive matcher says", () => {
    const random = randomFrom(SEED);
    for (let round = 0; round < 5; round++) {
      const index = new SubjectIndex<string>();
      const patterns = [...new Set(Array.from({ length: 250 }, () => patternOf(random)))];
      for (const pattern of patterns) index.add(pattern, pattern);
      const gone = new Set(patterns.filter(() => random(3) === 0));
      for (let i = 0; i < 200; i++) {
        if (i === 100)
          for (const pattern of gone) expect(index.delete(pattern, pattern)).toBe(true);
        const subject = subjectOf(random);
        const wanted = patterns.filter((it) => naive(it, subject) && (i < 100 || !gone.has(it)));
        expect([...index.match(subject)].sort(), subject).toEqual(wanted.sort());
      }
      for (let i = 0; i < 50_000; i++) {
        const pattern = patterns[random(patterns.length)] as string;
        const subject = subjectOf(random);
        const wanted = naive(pattern, subject);
        if (matchesSubject(pattern, subject) !== wanted) expect.fail(`${pattern} ${subject}`);
        if (subjectMatcher(pattern)(subject) !== wanted) expect.fail(`${pattern} ${subject}`);
      }
    }
  });

  test("covers and overlaps are what all subjects together say", () => {
    const random = randomFrom(SEED);
    const small = ["a", "b", "c", "é"];
    const all = small.flatMap((a) => [
      a,
      ...small.flatMap((b) => [`${a}.${b}`, ...small.map((c) => `${a}.${b}.${c}`)]),
    ]);
    const deep = [...all, ...all.map((it) => `${it}.z`)];
    const short = () => {
      let pattern = patternOf(random);
      while (pattern.split(".").length > 3 || /proto|const|[[?+]/.test(pattern)) {
        pattern = patternOf(random);
      }
      return pattern;
    };
    for (let i = 0; i < 3000; i++) {
      const [one, other] = [short(), short()];
      const ofOne = new Set(deep.filter((it) => naive(one, it)));
      const ofOther = deep.filter((it) => naive(other, it));
      expect(overlaps(one, other), `${one} ${other}`).toBe(ofOther.some((it) => ofOne.has(it)));
      // A token that occurs nowhere stands for all that weren't listed.
      const inside = ofOther.every((it) => ofOne.has(it));
      if (covers(one, other)) expect(inside, `${one} ${other}`).toBe(true);
      else if (!other.includes("*") && !other.includes(">")) expect(inside).toBe(false);
    }
  });
});

test.each([
  [">", "*", true],
  ["*", ">", false],
  ["a.>", "a.*.>", true],
  ["a.*.>", "a.>", false],
  ["a.*", "a.b", true],
  ["a.b", "a.*", false],
  ["*.*", "*.>", false],
  ["*.>", "*.*", true],
])("covers(%s, %s) is %s", (outer, inner, expected) => {
  expect(covers(outer, inner)).toBe(expected);
});

describe("the index", () => {
  test("is empty when all that was added is taken out", () => {
    const index = new SubjectIndex<number>();
    const added = ["a", "a.b", "a.*", "a.>", ">", "*.b.>", "a.b", "*"];
    for (const [i, subject] of added.entries()) index.add(subject, i);
    expect(index.isEmpty).toBe(false);
    expect(index.delete("a.*", 99)).toBe(false);
    expect(index.delete("a.x.*", 2)).toBe(false);
    for (const [i, subject] of added.entries()) expect(index.delete(subject, i)).toBe(true);
    expect(index.isEmpty).toBe(true);
    expect(index.delete("a", 0)).toBe(false);
    expect(index.match("a.b")).toEqual([]);
  });

  test("keeps one of two equal patterns, and counts an equal value once", () => {
    const index = new SubjectIndex<string>();
    for (const pattern of ["a.*", "a.b"]) {
      for (const value of ["x", "y", "x"]) index.add(pattern, value);
      index.delete(pattern, "x");
    }
    expect(index.match("a.b")).toEqual(["y", "y"]);
    index.delete("a.*", "y");
    index.delete("a.b", "y");
    expect(index.isEmpty).toBe(true);
  });

  test("a list that was handed out stays as it is", () => {
    const index = new SubjectIndex<number>();
    index.add("a", 1);
    index.add("*", 2);
    // Until it is remembered.
    for (let i = 0; i < 20; i++) index.match("a");
    const before = index.match("a");
    index.add("a", 3);
    index.add(">", 4);
    index.delete("*", 2);
    expect(before).toEqual([1, 2]);
    expect([...index.match("a")].sort()).toEqual([1, 3, 4]);
    index.delete("a", 1);
    expect([...index.match("a")].sort()).toEqual([3, 4]);
    for (let i = 0; i < 20; i++) index.match("a");
    index.add("*", 5);
    expect([...index.match("a")].sort()).toEqual([3, 4, 5]);
  });

  test("remembers so many subjects and no more", () => {
    const index = new SubjectIndex<number>();
    index.add("*", 1);
    for (let i = 0; i < 20_000; i++) index.match(`s${i}`);
    const lists = Array.from({ length: 20 }, () => index.match("s1"));
    expect(new Set(lists).size).toBeLessThan(20);
    expect(index.cached).toBeGreaterThan(0);
    expect(index.cached).toBeLessThanOrEqual(1024);
  });
});

test("200,000 subjects and patterns that come and go leave no memory behind", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const index = new SubjectIndex<number>();
  const comeAndGo = (name: string, count: number) => {
    for (let i = 0; i < count; i++) {
      for (const subject of [`${name}.${i}`, `${name}.${i}.*.x`, `*.${name}${i}.y.>`]) {
        validateSubject(subject, "subscribe");
        index.add(subject, i);
        index.delete(subject, i);
      }
    }
  };
  comeAndGo("warm", 5_000);
  collect();
  const before = process.memoryUsage().heapUsed;
  comeAndGo("room", 70_000);
  collect();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(2 * 2 ** 20);
});

describe("token", () => {
  test("makes one token of anything, and never the same of two", () => {
    const values = [
      "a",
      "A",
      "a.b",
      "a%2Eb",
      "",
      "%",
      "*",
      ">",
      "$x",
      " ",
      "é",
      "😀",
      "a b",
      "a_b",
    ];
    values.push("-", "\n", "\u0000", "!", "~", "'", "(", ")", "%25", "%2A");
    const tokens = values.map(token);
    expect(new Set(tokens).size).toBe(values.length);
    for (const it of tokens) {
      expect(it).toMatch(/^[\w%-]+$/);
      expect(() => validateSubject(`room.${it}`, "publish")).not.toThrow();
      expect(() => validateSubject(it, "publish")).not.toThrow();
    }
    expect(token("ada-1_x")).toBe("ada-1_x");
    expect(token(42)).toBe("42");
    expect(token("a.>")).toBe("a%2E%3E");
  });

  test("refuses half a surrogate pair", () => {
    expect(() => token("\ud800")).toThrow(TypeError);
  });
});

describe("a subject that can't be", () => {
  test.each([
    ["", "subscribe", 0],
    ["a..b", "subscribe", 2],
    ["a.", "subscribe", 2],
    [".a", "subscribe", 0],
    ["a b", "subscribe", 1],
    ["ab.\u0085", "subscribe", 3],
    ["ab.\ud800", "subscribe", 3],
    ["a.b*", "subscribe", 3],
    ["a.>.b", "subscribe", 2],
    ["a.>", "publish", 2],
    ["$a", "subscribe", 0],
    ["x".repeat(1025), "subscribe", 1024],
    ["é".repeat(513), "subscribe", 512],
    [`xx${"😀".repeat(256)}`, "subscribe", 512],
  ] as const)("%j is refused at its place", (subject, use, index) => {
    expect(() => validateSubject(subject, use)).toThrow(
      expect.objectContaining({ code: "ERR_PUBSUB_SUBJECT", index, status: 400, expose: false }),
    );
  });

  test.each([[undefined], [null], [5], [["a"]], [{ toString: () => "a" }]])(
    "%j is no string",
    (subject) => {
      expect(() => validateSubject(subject as never, "subscribe")).toThrow("must be a string");
    },
  );

  test("is not quoted: it may be long, secret or a line break", () => {
    let error: Partial<PubSubError> = {};
    try {
      validateSubject("hunter2\r\nPUB x", "publish");
    } catch (thrown) {
      error = thrown as PubSubError;
    }
    expect(error.message).not.toContain("hunter2");
    expect(error.message).toContain("token()");
  });
});
