import { createPrivateKey, createSecretKey, generateKeyPairSync } from "node:crypto";
import {
  bearerTracker,
  type JwtKey,
  type JwtStoreOptions,
  type JwtTrackerOptions,
  jwtStore,
  jwtTracker,
} from "@lanai/session-jwt";
import { describe, expect, test } from "vitest";
import { contextOf } from "../../session/test/tracker-context.ts";
import { ISSUER, keyOf, publicPem, SECRET, SID } from "./tokens.ts";

const SHORT = "only 31 bytes, one is missing..";
const SAMPLE = "a-string-secret-at-least-256-bits-long";
const hs: JwtKey = { kid: "hs", alg: "HS256", key: SECRET };
const rs = keyOf("rs");
const es = keyOf("es");
const pem = (options: object, type: "rsa" | "ec") =>
  generateKeyPairSync(type as "rsa", options as { modulusLength: number })
    .privateKey.export({ type: "pkcs8", format: "pem" })
    .toString();
const weak = pem({ modulusLength: 1024 }, "rsa");
const p384 = pem({ namedCurve: "P-384" }, "ec");

test.for<[unknown, typeof TypeError | typeof RangeError, string]>([
  [undefined, TypeError, "jwtTracker: the options must be an object, got undefined"],
  [{ issuer: ISSUER }, TypeError, "takes either secret or keys, got neither"],
  [{ issuer: ISSUER, secret: SECRET, keys: [hs] }, TypeError, "either secret or keys, got both"],
  [{ secret: SECRET }, TypeError, "issuer must be a text of 1 to 256 characters, got undefined"],
  [
    { secret: SECRET, issuer: "" },
    TypeError,
    "issuer must be a text of 1 to 256 characters, got an empty string",
  ],
  [{ secret: SECRET, issuer: ISSUER, audience: /x/ }, TypeError, "audience must be a text"],
  [
    { secret: SECRET, issuer: ISSUER, algorithm: "HS256" },
    TypeError,
    'no option "algorithm": an algorithm belongs to a key',
  ],
  [
    { secret: SECRET, issuer: ISSUER, ttl: 1 },
    TypeError,
    'no option "ttl": its options are secret',
  ],
  [{ secret: SECRET, issuer: ISSUER, clock: 1 }, TypeError, "clock must be a function, got number"],
  [
    { secret: SECRET, issuer: ISSUER, clockTolerance: 60_001 },
    RangeError,
    "clockTolerance must be a number of milliseconds from 0 to 60000, got 60001",
  ],
  [
    { secret: SECRET, issuer: ISSUER, expiresIn: "15m" },
    TypeError,
    "expiresIn must be a number of milliseconds from 1000 to 86400000, got string",
  ],
  [
    { secret: SECRET, issuer: ISSUER, expiresIn: 900 },
    RangeError,
    "from 1000 to 86400000, got 900",
  ],
  [
    { secret: SECRET, issuer: ISSUER, grace: Infinity },
    RangeError,
    "grace must be a number of milliseconds from 0 to 2592000000, got Infinity",
  ],
  [{ secret: SECRET, issuer: ISSUER, overlap: -1 }, RangeError, "from 0 to 60000, got -1"],
  [
    { secret: SECRET, issuer: ISSUER, strict: 1 },
    TypeError,
    "strict must be a boolean, got number",
  ],
  [
    { secret: SECRET, issuer: ISSUER, client: "cid" },
    TypeError,
    "client must be a function, got string",
  ],
  [{ secret: SECRET, issuer: ISSUER, carrier: "cookie" }, TypeError, "carrier must be a tracker"],
  [
    { secret: SHORT, issuer: ISSUER },
    RangeError,
    "keys[0]: the secret of HS256 must have at least 32 bytes, got 31",
  ],
  [
    { secret: 7, issuer: ISSUER },
    TypeError,
    "the key of HS256 must be a string, a Uint8Array or a secret KeyObject, got number",
  ],
  [{ secret: SAMPLE, issuer: ISSUER }, TypeError, "key is a published sample"],
  [
    { secret: publicPem("rs"), issuer: ISSUER },
    TypeError,
    "key is a key in PEM, and HS256 takes a secret",
  ],
  [{ secret: Buffer.from(SAMPLE), issuer: ISSUER }, TypeError, "key is a published sample"],
  [
    { secret: createSecretKey(publicPem("rs"), "utf8"), issuer: ISSUER },
    TypeError,
    "key is a key in PEM, and HS256 takes a secret",
  ],
])("%$: a wrong option of jwtTracker is refused by name: $2", ([options, type, message]) => {
  const make = () => jwtTracker(options as JwtTrackerOptions);
  expect(make).toThrow(type);
  expect(make).toThrow(message);
  for (const secret of [SECRET, SHORT, SAMPLE]) expect(make).not.toThrow(secret);
});

test.for<[unknown, typeof TypeError | typeof RangeError, string]>([
  [{}, TypeError, "keys must be an array of keys or a function, got object"],
  [[], TypeError, "exactly one of the keys must be active and able to sign, got 0 active"],
  [[hs, { ...hs, kid: "b" }], TypeError, "got 2 active"],
  [[{ ...hs, state: "retiring" }], TypeError, "got 0 active"],
  [[{ ...rs, key: publicPem("rs") }], TypeError, "got 1 active, a public key"],
  [[hs, { ...hs, state: "pending" }], TypeError, "keys[1] has the kid of another, hs"],
  [[null], TypeError, "keys[0] must be { kid, alg, key, state }, got null"],
  [[{ ...hs, kid: "a b" }], TypeError, "keys[0]: kid must be 1 to 64 letters"],
  [[{ ...hs, kid: "a".repeat(65) }], TypeError, "keys[0]: kid must be"],
  [[{ ...hs, kid: undefined }], TypeError, "keys[0]: kid must be"],
  [[{ ...hs, alg: "none" }], TypeError, "keys[0]: alg must be one of HS256, "],
  [[{ ...hs, alg: "constructor" }], TypeError, "keys[0]: alg must be one of"],
  [[{ ...hs, state: "old" }], TypeError, "keys[0]: state must be"],
  [[{ ...hs, secret: SECRET }], TypeError, 'keys[0]: there is no option "secret"'],
  [[{ ...hs, alg: "HS512" }], RangeError, "the secret of HS512 must have at least 64 bytes"],
  [[{ ...hs, key: createPrivateKey(String(rs.key)) }], TypeError, "the key of HS256 must be"],
  [[{ ...rs, key: SECRET }], TypeError, "the key of RS256 must be a private or a public key"],
  [[{ ...rs, key: createSecretKey(SECRET, "utf8") }], TypeError, "the key of RS256 must be"],
  [[{ ...rs, key: weak }], RangeError, "must have at least 2048 bits, got 1024"],
  [[{ ...rs, key: es.key }], TypeError, "RS256 takes a key of type rsa, got prime256v1"],
  [[{ ...es, key: rs.key }], TypeError, "ES256 takes a key of type ec on prime256v1, got rsa"],
  [[{ ...es, key: p384 }], TypeError, "ES256 takes a key of type ec on prime256v1, got secp384r1"],
])("%$: a wrong set of keys is refused at construction: $2", ([keys, type, message]) => {
  const make = () => jwtTracker({ keys: keys as JwtKey[], issuer: ISSUER });
  expect(make).toThrow(type);
  expect(make).toThrow(message);
  expect(make).not.toThrow(SECRET);
  expect(make).not.toThrow("BEGIN");
});

test.for([
  [
    { secret: SECRET, issuer: ISSUER },
    "jwtStore: expiresIn must be a number of milliseconds from 1000 to",
  ],
  [
    { secret: SECRET, issuer: ISSUER, expiresIn: Infinity },
    "from 1000 to 34560000000, got Infinity",
  ],
  [
    { secret: SECRET, issuer: ISSUER, expiresIn: 1e5, maxBytes: 100 },
    "maxBytes must be an integer from 512 to 16384, got 100",
  ],
  [{ secret: SECRET, issuer: ISSUER, expiresIn: 1e5, grace: 1 }, 'there is no option "grace"'],
  [{ secret: SHORT, issuer: ISSUER, expiresIn: 1e5 }, "at least 32 bytes, got 31"],
] as const)("%$: a wrong option of jwtStore is refused by name: $1", ([options, message]) => {
  expect(() => jwtStore(options as JwtStoreOptions)).toThrow(message);
});

test("bearerTracker takes a name, and nothing else", () => {
  expect(() => bearerTracker({ name: "Authorization" })).toThrow("other than Cookie");
  expect(() => bearerTracker({ header: "X" } as object)).toThrow("no option");
});

describe("every algorithm", () => {
  const bits = (length: number) => pem({ modulusLength: length }, "rsa");
  test.for<[JwtKey["alg"], JwtKey["key"]]>([
    ["HS256", new Uint8Array(32).fill(7)],
    ["HS384", createSecretKey("x".repeat(48), "utf8")],
    ["HS512", "x".repeat(64)],
    ["RS256", rs.key],
    ["RS384", Buffer.from(String(rs.key))],
    ["RS512", createPrivateKey(String(rs.key))],
    ["PS256", rs.key],
    ["PS384", rs.key],
    ["PS512", bits(2048)],
    ["ES256", es.key],
    ["ES384", p384],
    ["ES512", pem({ namedCurve: "P-521" }, "ec")],
  ])("%s signs what it verifies", async ([alg, key]) => {
    const tracker = jwtTracker({ keys: [{ kid: "a", alg, key }], issuer: ISSUER });
    const { "session-id": token = "" } = (await tracker.present?.(SID, { secure: false })) ?? {};
    expect(await tracker.get(contextOf({}), token)).toMatchObject([{ id: SID }]);
  });
});

test("a public key verifies what the active one doesn't sign", async () => {
  const theirs = jwtTracker({ keys: [rs], issuer: ISSUER });
  const { "session-id": token = "" } = (await theirs.present?.(SID, { secure: false })) ?? {};
  const ours = jwtTracker({
    keys: [hs, { ...rs, key: publicPem("rs"), state: "retiring" }],
    issuer: ISSUER,
  });
  expect(await ours.get(contextOf({}), token)).toMatchObject([{ id: SID }]);
});

test("an id that makes too long a token is refused with its size", async () => {
  const tracker = jwtTracker({ secret: SECRET, issuer: ISSUER });
  await expect(tracker.present?.("x".repeat(4000), { secure: false })).rejects.toMatchObject({
    code: "ERR_SESSION_TOO_LARGE",
    message: expect.stringMatching(/^the token has 5\d{3} bytes, and 4096 are read at most/),
  });
});
