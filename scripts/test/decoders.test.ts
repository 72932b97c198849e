import { globSync, readFileSync } from "node:fs";
import { connect } from "@lanai/browser";
import { parseJson } from "@lanai/connection/json";
import { NoteSeal } from "@lanai/connection/note-seal";
import { jwtStore, jwtTracker } from "@lanai/session-jwt";
import type { ExtendableContext } from "koa";
import { describe, expect, test } from "vitest";
import { testPage } from "../../packages/browser/test/test-page.ts";
import { parseFrame } from "../../packages/channels/src/wire.ts";
import { parseMessage, receivedMessage } from "../../packages/clients/src/listeners/message.ts";
import { decode as decodeEvent } from "../../packages/pubsub/src/json/codec.ts";
import { listedOf } from "../../packages/pubsub-redis/src/streams/stream-list.ts";
import { decode as decodeValue } from "../../packages/session/src/request/codec.ts";
import { sealedStore } from "../../packages/session/src/stores/sealed-store.ts";
import { parseObject } from "../../packages/session-bound/src/strict-json.ts";
import { generationIn } from "../../packages/session-jwt/src/jwt-tracker.ts";
import { hasForm, kidOf } from "../../packages/session-jwt/src/token.ts";
import { readEnded, readRecord } from "../../packages/session-postgres/src/rows.ts";
import { recordOf } from "../../packages/session-redis/src/rows.ts";
import { readTexts } from "../../packages/session-sqlite/src/row.ts";
import { isLong, type Random, randomFrom, seed } from "../testing/chance.ts";

interface Decoder {
  readonly name: string;
  /** What it reads on a good day. */
  readonly sample: string;
  /** The codes of the errors that it may throw; one that returns something for everything has none. */
  readonly codes: readonly string[];
  decode(text: string): unknown;
}

const sealed = sealedStore({ context: "fuzz", keys: ["thirty-two bytes of a key, or more"] });
const sealedSample = sealed.create("", {
  operation: "one",
  publicId: "public",
  values: new Map([["d:a", "1"]]),
  owners: new Set(["user:ada"]),
  idle: 60_000,
  absolute: 60_000,
});
const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Every decoder of what a client, a store or a bus has sent, also those before a signature is verified. */
const decoders: readonly Decoder[] = [
  {
    name: "a session's value",
    sample: '{"a":{"~map":[["k",{"~bytes":"AAEC"}]]},"n":{"~bigint":"12"},"d":{"~date":1}}',
    codes: ["ERR_SESSION_DECODE"],
    decode: (text) => decodeValue(text, "d:a"),
  },
  {
    name: "a sealed session",
    sample: sealedSample,
    codes: [],
    decode: (text) => sealed.carriesData.isValid(text) && sealed.load(text),
  },
  {
    name: "a column of SQLite",
    sample: '["d:a","1","d:b","2"]',
    codes: ["ERR_SESSION_DECODE"],
    decode: readTexts,
  },
  {
    name: "a row of PostgreSQL",
    sample:
      '{"publicId":"p","entries":{"d:a":"1"},"owners":["user:ada"],"createdAt":1,"startedAt":1,"seenAt":1,"idle":1,"absolute":"Infinity"}',
    codes: ["ERR_SESSION_DECODE"],
    decode: readRecord,
  },
  {
    name: "the owners of a row of PostgreSQL that has ended",
    sample: '["user:ada","client:one"]',
    codes: [],
    decode: (text) => [...readEnded({ public_id: "p", owners: text }).owners],
  },
  {
    name: "the owners of a session in Redis",
    sample: '[1,"user:ada","client:one"]',
    codes: ["ERR_SESSION_DECODE"],
    decode: (text) => [...(recordOf(["m", "1 2 3 4 5 p", "r", "", "o", text])?.owners ?? [])],
  },
  {
    name: "the times of a session in Redis",
    sample: "1 2 3 4 Infinity p",
    codes: ["ERR_SESSION_DECODE"],
    decode: (text) => recordOf(["m", text, "r", ""]),
  },
  {
    name: "the settings of a stream in Redis",
    sample: '{"subjects":["a.>"],"maxMsgs":10,"maxAge":0,"former":[],"revision":1}',
    codes: ["ERR_PUBSUB_DECODE"],
    decode: (text) => listedOf("one", text),
  },
  {
    name: "the generation of a token",
    sample: '{"gen":1,"usedAt":1}',
    codes: ["ERR_SESSION_DECODE"],
    decode: generationIn,
  },
  {
    name: "the header of a JWT",
    sample: `${base64url({ alg: "HS256", kid: "one" })}.${base64url({ sid: "x" })}.AAAA`,
    codes: [],
    decode: (text) => hasForm(text, 4096) && kidOf(text, 4096),
  },
  {
    name: "a proof of a device",
    sample: '{"alg":"ES256","jwk":{"kty":"EC","crv":"P-256"}}',
    codes: [],
    decode: (text) => parseObject(Buffer.from(text), 4),
  },
  {
    name: "an event of the bus",
    sample: '{"user":"ada","text":["hello"]}',
    codes: ["ERR_PUBSUB_DECODE"],
    decode: (text) => decodeEvent(text, undefined),
  },
  {
    name: "a message of a tab",
    sample: '{"event":"notice","data":{"text":"hello"}}',
    codes: [],
    decode: parseMessage,
  },
  {
    name: "a message that came over the bus",
    sample: '{"text":"hello"}',
    codes: [],
    decode: (text) => receivedMessage("notice", text),
  },
  {
    name: "a frame of a page",
    sample: '{"t":"join","p":"room.general","a":{"id":"x"},"n":1}',
    codes: [],
    decode: parseFrame,
  },
  {
    name: "a note between processes",
    sample: '{"v":1,"node":"one","names":["a","b"]}',
    codes: [],
    decode: (text) => new NoteSeal({ node: "two", purpose: "test" }).read("s", text, new Map()),
  },
  {
    name: "a frame in a browser",
    sample: '{"t":"event","k":"room.general","e":"said","d":{"text":"hello"},"c":"0:1","i":"id"}',
    codes: [],
    decode: inBrowser,
  },
];

/** Returns whether the line goes on after a frame that a page has received. */
function inBrowser(text: string): boolean {
  const page = testPage();
  const line = connect("/live", { host: page.host });
  line.join("room.general");
  page.open();
  page.receive({ t: "joined", k: "room.general", retained: false });
  page.socket.onmessage?.({ data: text });
  page.open();
  return line.state === "open";
}

/**
 * Where JSON is parsed, by file, with the number of places: those that the decoders above go through, and
 * those that read what this process or its own server has written, with what that is.
 */
const PARSED: Readonly<Record<string, readonly [count: number, what: string]>> = {
  "packages/browser/src/connect.ts": [2, "a frame in a browser; the reply to an extension"],
  "packages/channels/src/wire.ts": [1, "a frame of a page"],
  "packages/clients/src/listeners/event-iterator.ts": [2, "what `receivedMessage` has checked"],
  "packages/clients/src/listeners/message.ts": [
    2,
    "a message of a tab; a message that came over the bus",
  ],
  "packages/connection/src/json.ts": [2, "the helper itself"],
  "packages/connection/src/note-seal.ts": [1, "a note between processes"],
  "packages/connection/src/request-trace.ts": [1, "the head of a request, as it was kept"],
  "packages/pubsub-redis/src/streams/stream-list.ts": [1, "the settings of a stream in Redis"],
  "packages/pubsub/src/json/codec.ts": [1, "an event of the bus"],
  "packages/session-bound/src/strict-json.ts": [1, "a proof of a device"],
  "packages/session-jwt/src/jwt-tracker.ts": [1, "the generation of a token"],
  "packages/session-jwt/src/token.ts": [1, "the header of a JWT"],
  "packages/session-postgres/src/postgres-store.ts": [2, "rows that a statement has put together"],
  "packages/session-postgres/src/rows.ts": [
    2,
    "a row of PostgreSQL; the owners of a row of PostgreSQL that has ended",
  ],
  "packages/session-redis/src/pages.ts": [2, "a cursor of this process"],
  "packages/session-redis/src/redis-store.ts": [1, "what a script of the store has replied"],
  "packages/session-redis/src/rows.ts": [1, "the owners of a session in Redis"],
  "packages/session-sqlite/src/row.ts": [1, "a column of SQLite"],
  "packages/session/src/request/codec.ts": [1, "a session's value"],
  "packages/session/src/stores/sealed-store.ts": [1, "a sealed session"],
};

test("every place that parses JSON is in the table, or reads what this process has written", () => {
  const found = globSync("packages/*/src/**/*.ts")
    .filter((file) => !file.includes("/src/testing/"))
    .map((file) => [file, readFileSync(file, "utf8")] as const)
    .map(([file, text]) => [file, text.match(/(?:JSON\.parse|\bparseJson)\(|\.json\(\)/g)?.length])
    .filter(([, count]) => count !== undefined);
  expect(Object.fromEntries(found)).toEqual(
    Object.fromEntries(Object.entries(PARSED).map(([file, [count]]) => [file, count])),
  );
  const named = Object.values(PARSED).flatMap(([, what]) => what.split("; "));
  const missing = decoders.map(({ name }) => name).filter((name) => !named.includes(name));
  // Not JSON.
  expect(missing).toEqual(["the times of a session in Redis"]);
});

const deep = (open: string, close: string, depth: number) =>
  open.repeat(depth) + close.repeat(depth);

/** What has stopped a process, or could. */
const hostile: readonly (readonly [string, string])[] = [
  ["nothing", ""],
  ["a million arrays", deep("[", "]", 1_000_000)],
  ["a million objects", `${'{"a":'.repeat(1_000_000)}1${"}".repeat(1_000_000)}`],
  ["a million arrays that don't end", "[".repeat(1_000_000)],
  ["depth in a member", `{"event":"e","t":"call","data":${deep("[", "]", 10_000)}}`],
  ["depth in a little text", `{"a":${deep("[", "]", 6_000)}}`],
  ["depth in tags", `${'{"~set":['.repeat(100_000)}${"]}".repeat(100_000)}`],
  ["brackets in a text", JSON.stringify("[".repeat(1_000_000))],
  ["bytes of four billion", '{"~bytes":{"length":4e9}}'],
  ["bytes that are an array", '{"~bytes":[1,2,3]}'],
  ["a bigint of three million digits", `{"~bigint":"${"9".repeat(3_000_000)}"}`],
  ["a date that is none", '{"~date":1e300}'],
  ["a map without pairs", '{"~map":[1,[2],[3,4,5]]}'],
  ["a length that is none", '{"length":4294967295}'],
  ["a prototype", '{"__proto__":{"a":1},"constructor":{"prototype":{"a":1}}}'],
  ["numbers without end", `[${"1e999,".repeat(10_000)}1]`],
  ["a number of a megabyte", "9".repeat(1_000_000)],
  ["a lone surrogate", '"\\ud800"'],
  ["U+0000", "\0".repeat(1_000)],
  ["a text of 8 MB", JSON.stringify("x".repeat(8_000_000))],
  ["dots", ".".repeat(1_000_000)],
  ["no JSON", "{'a':1}"],
  ["null", "null"],
  ["a number", "1"],
  ["an array", "[]"],
  ["a hundred thousand members", `{${Array.from({ length: 100_000 }, (_, n) => `"k${n}":0`)}}`],
];

const ALPHABET = '{}[]",:0123456789.eE+-~\\ut\0 \ud800_abdefnprsy';

/** Changes a text in a few places: takes, adds, doubles, swaps. */
function mutate(text: string, random: Random): string {
  let it = text;
  for (let n = 1 + random(4); n > 0; n--) {
    const [at, length] = [random(it.length + 1), 1 + random(8)];
    const part = it.slice(at, at + length);
    const char = ALPHABET[random(ALPHABET.length)] as string;
    const made = [char, "", part.repeat(1 + random(200)), char + part, deep("[", "]", random(400))];
    it = it.slice(0, at) + made[random(made.length)] + it.slice(at + length);
  }
  return it;
}

/** @throws if a decoder throws what it may not, or returns what recursive code can't walk. */
function attempt({ name, codes, decode }: Decoder, text: string): void {
  let result: unknown;
  try {
    result = decode(text);
  } catch (error) {
    const { code, message, cause } = error as { code?: string; message: string; cause?: unknown };
    expect(codes, `${name} threw ${String(error)}`).toContain(code);
    // Nothing that was sent is quoted.
    if (text.length > 20) expect(message).not.toContain(text.slice(0, 20));
    expect(cause).toBeUndefined();
    return;
  }
  JSON.stringify(result, (_, it) => (typeof it === "bigint" ? `${it}` : it));
  expect(({} as { a?: unknown }).a).toBeUndefined();
}

describe.each(decoders)("$name", (decoder) => {
  test("is read, so that the inputs below are near to what is", () => {
    expect(decoder.decode(decoder.sample)).toBeTruthy();
  });

  test.each(hostile)("copes with %s", (_, text) => attempt(decoder, text));

  test("copes with whatever becomes of a good one", () => {
    const random = randomFrom(seed);
    for (let n = 0; n < (isLong ? 200_000 : 1_000); n++) {
      const text = mutate(decoder.sample, random);
      try {
        attempt(decoder, text);
      } catch (cause) {
        const about = `mutation ${n} with LANAI_SEED=${seed}: ${JSON.stringify(text)}`;
        throw new Error(`${about}: ${(cause as Error).message}`, { cause });
      }
    }
  });
});

test.each(hostile)("a JWT whose header is %s is refused", async (_, text) => {
  const token = `${Buffer.from(text).toString("base64url")}.e30.AAAA`;
  const options = {
    keys: [{ kid: "one", alg: "HS256", key: "thirty-two bytes of a key, or more" }],
    issuer: "https://app.example",
    audience: "https://app.example",
  } as const;
  const store = jwtStore({ ...options, expiresIn: 60_000, maxBytes: 16_384 });
  expect(await store.load(token)).toEqual({ status: "none" });
  const [got] = await jwtTracker(options).get({} as ExtendableContext, token);
  expect(got).toHaveProperty("refused");
});

test("JSON is parsed up to a depth, which brackets in texts don't count for", () => {
  expect(parseJson(deep("[", "]", 256))).toBeInstanceOf(Array);
  expect(() => parseJson(`${deep("[", "]", 257)}${" ".repeat(600)}`)).toThrow("nested too deep");
  expect(parseJson(JSON.stringify(`\\"${"[".repeat(1_000)}`))).toHaveLength(1_002);
});
