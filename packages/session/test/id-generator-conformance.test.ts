import { randomBytes } from "node:crypto";
import { type IdGenerator, randomIds } from "@lanai/session";
import { idGeneratorConformance } from "@lanai/session/testing";
import { expect, test } from "vitest";
import { failuresOf } from "./conformance-failures.ts";

const failing = (generator: IdGenerator) =>
  failuresOf((fake) => idGeneratorConformance({ name: "x", test: fake, generator }));

const hex = (length: number) => randomBytes(length).toString("hex").slice(0, length);

/** A sound generator of 32 hexadecimal digits, and what is wrong with it. */
const hexIds = (wrong: Partial<IdGenerator> = {}): IdGenerator => ({
  generate: () => hex(32),
  isValid: (id) => /^[0-9a-f]{32}$/.test(id),
  ...wrong,
});

let made = 0;
const next = () => ++made;

const broken: readonly [what: string, fact: string, generator: IdGenerator][] = [
  [
    "needs a request",
    "an id can be made outside a request and inside one",
    hexIds({
      generate: (ctx) => {
        if (!ctx) throw new TypeError("no request");
        return hex(32);
      },
    }),
  ],
  [
    "refuses some of its own ids",
    "10000 ids are valid, different and of one length",
    hexIds({ isValid: (id) => /^[0-9a-e][0-9a-f]{31}$/.test(id) }),
  ],
  [
    "repeats itself",
    "10000 ids are valid, different and of one length",
    hexIds({ generate: () => (next() % 1000).toString(16).padStart(32, "0") }),
  ],
  [
    "makes ids of many lengths",
    "10000 ids are valid, different and of one length",
    hexIds({
      generate: () => hex(32 + (next() % 2)),
      isValid: (id) => /^[0-9a-f]{32,33}$/.test(id),
    }),
  ],
  [
    "differs in the first two characters only",
    "ids differ after their first two characters, which a renewal keeps",
    hexIds({ generate: () => hex(2) + "0".repeat(30) }),
  ],
  [
    "makes short ids",
    "an id has 22 characters or more, which cookies and headers carry",
    { generate: () => hex(21), isValid: (id) => /^[0-9a-f]{21}$/.test(id) },
  ],
  [
    "makes ids that a cookie can't carry",
    "an id has 22 characters or more, which cookies and headers carry",
    { generate: () => `${hex(31)};`, isValid: (id) => /^[0-9a-f]{31};$/.test(id) },
  ],
  [
    "has a checksum over the first characters",
    "the first two characters of one id and the rest of another are valid",
    (() => {
      const sum = (id: string) => (Number.parseInt(id.slice(0, 2), 16) % 16).toString(16);
      const generate = () => {
        const id = hex(31);
        return id + sum(id);
      };
      return { generate, isValid: (id) => /^[0-9a-f]{32}$/.test(id) && id.endsWith(sum(id)) };
    })(),
  ],
  [
    "takes any length",
    "an id with a character more or less is invalid",
    hexIds({ isValid: (id) => /^[0-9a-f]+$/.test(id) }),
  ],
  [
    "forgets the end of its pattern",
    "an id with a character more or less is invalid",
    hexIds({ isValid: (id) => /^[0-9a-f]{32}/.test(id) }),
  ],
  [
    "trims",
    "an id with space around it or within is invalid",
    hexIds({ isValid: (id) => /^[0-9a-f]{32}$/.test(id.trim()) }),
  ],
  [
    "matches by line",
    "an id with space around it or within is invalid",
    hexIds({ isValid: (id) => /^[0-9a-f]{32}$/m.test(id) }),
  ],
  [
    "ignores case",
    "an id is in one case, or case tells ids apart",
    hexIds({ isValid: (id) => /^[0-9a-f]{32}$/i.test(id) }),
  ],
  [
    "asks for the length alone",
    "characters that only look like those of an id are invalid",
    hexIds({ isValid: (id) => id.length === 32 && !/\s|\0/.test(id) }),
  ],
  [
    "takes the empty text",
    "hostile text is invalid, and nothing throws",
    hexIds({ isValid: (id) => id === "" || /^[0-9a-f]{32}$/.test(id) }),
  ],
  [
    "throws for what is no id",
    "hostile text is invalid, and nothing throws",
    hexIds({
      isValid: (id) => {
        if (id === "__proto__") throw new TypeError("no id");
        return /^[0-9a-f]{32}$/.test(id);
      },
    }),
  ],
];

test.each(broken)("a generator that %s fails", async (_what, fact, generator) => {
  expect(await failing(generator)).toContain(fact);
});

test("a sound generator passes, and so does an asynchronous one", async () => {
  expect(await failing(hexIds())).toEqual([]);
  expect(await failing({ ...randomIds(), generate: async () => randomIds().generate() })).toEqual(
    [],
  );
});

test("every fact is one that a broken generator fails", async () => {
  const facts: string[] = [];
  idGeneratorConformance({
    name: "x",
    generator: hexIds(),
    test: (name) => facts.push(name.replace("x: ", "")),
  });
  expect(facts.filter((fact) => !broken.some(([, failed]) => failed === fact))).toEqual([]);
});
