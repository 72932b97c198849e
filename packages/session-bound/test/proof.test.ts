import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import fc from "fast-check";
import {
  CompactSign,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  type JWK,
  SignJWT,
} from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { isLong, seed } from "../../../scripts/testing/chance.ts";
import { type DeviceKey, parseDeviceKey, thumbprintOf } from "../src/device-key.ts";
import { bare, parseProof, parseRegistration } from "../src/proof.ts";

const BOTH = ["ES256", "RS256"] as const;
const text = (value: unknown): string =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

interface Pair {
  readonly privateKey: Parameters<SignJWT["sign"]>[0];
  readonly jwk: JWK;
}

async function pair(algorithm: string, options = {}): Promise<Pair> {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, options);
  return { privateKey, jwk: await exportJWK(publicKey) };
}

let es: Pair;
let rs: Pair;
let es384: Pair;

beforeAll(async () => {
  [es, rs, es384] = await Promise.all([pair("ES256"), pair("RS256"), pair("ES384")]);
});

const joseMade = (by: Pair, alg: string, header: object, payload = {}): Promise<string> =>
  new SignJWT({ jti: "c", ...payload })
    .setProtectedHeader({ typ: "dbsc+jwt", alg, ...header })
    .sign(by.privateKey);

/** A JWS whose three parts are these texts or values, signed by an ES256 key of Node. */
const nodeKey = generateKeyPairSync("ec", { namedCurve: "P-256" });
const nodeJwk = nodeKey.publicKey.export({ format: "jwk" });
const HEADER = { typ: "dbsc+jwt", alg: "ES256", jwk: nodeJwk };
const PAYLOAD = { jti: "c" };
function handMade(header: unknown = HEADER, payload: unknown = PAYLOAD, encode = text): string {
  const signed = `${encode(header)}.${encode(payload)}`;
  const key = { key: nodeKey.privateKey, dsaEncoding: "ieee-p1363" as const };
  return `${signed}.${sign("sha256", Buffer.from(signed), key).toString("base64url")}`;
}

const register = (header: string) => parseRegistration(header, BOTH);

describe("what jose signs is verified", () => {
  test.each(["ES256", "RS256"] as const)("%s with the key in the header", async (alg) => {
    const by = alg === "ES256" ? es : rs;
    const found = register(await joseMade(by, alg, { jwk: by.jwk }));
    expect(found?.challenge).toBe("c");
    expect(thumbprintOf(found?.key as DeviceKey)).toBe(await calculateJwkThumbprint(by.jwk));
  });

  test.each(["ES256", "RS256"] as const)("%s with the key in the payload", async (alg) => {
    const by = alg === "ES256" ? es : rs;
    expect(register(await joseMade(by, alg, {}, { key: by.jwk }))?.challenge).toBe("c");
  });

  test("with the same key in both places", async () => {
    expect(register(await joseMade(es, "ES256", { jwk: es.jwk }, { key: es.jwk }))).toBeDefined();
  });

  test("bare, and as a string of a structured field with parameters or without", async () => {
    const jws = await joseMade(es, "ES256", { jwk: es.jwk });
    expect(register(`"${jws}"`)).toEqual(register(jws));
    expect(register(`"${jws}";a="b"`)).toEqual(register(jws));
    expect(register(jws)).toBeDefined();
  });

  test.each([3072, 4096])("RS256 with %d bits", async (modulusLength) => {
    const by = await pair("RS256", { modulusLength });
    expect(register(await joseMade(by, "RS256", { jwk: by.jwk }))).toBeDefined();
  });

  test("with claims that the protocol doesn't need, Chromium's authorization among them", async () => {
    const payload = { authorization: "a", aud: "https://example.com/", iat: 1 };
    expect(register(await joseMade(es, "ES256", { jwk: es.jwk }, payload))).toBeDefined();
  });

  test("a proof for a refresh, which brings no key", async () => {
    const proof = parseProof(await joseMade(es, "ES256", {}));
    expect(proof).toMatchObject({ challenge: "c", key: undefined });
    expect(proof?.isSignedBy(parseDeviceKey(es.jwk) as DeviceKey)).toBe(true);
    expect(proof?.isSignedBy(parseDeviceKey(rs.jwk) as DeviceKey)).toBe(false);
    expect(proof?.isSignedBy(parseDeviceKey(nodeJwk) as DeviceKey)).toBe(false);
  });
});

describe("is refused", () => {
  test("nothing of the table is accepted for want of a signature: the plain form passes", () => {
    expect(register(handMade())).toBeDefined();
  });

  const deep = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
  const { x, y } = nodeJwk;
  const withKey = (jwk: unknown) => handMade({ ...HEADER, jwk });

  test.each<[string, () => string]>([
    ["nothing", () => ""],
    ["a quote", () => '"'],
    ["two parts", () => handMade().split(".").slice(0, 2).join(".")],
    ["four parts", () => `${handMade()}.a`],
    ["an empty signature", () => handMade().replace(/[^.]*$/, "")],
    [
      "the signature of other parts",
      () => [...handMade().split(".").slice(0, 2), handMade(HEADER, {}).split(".")[2]].join("."),
    ],
    [
      "a signature in DER",
      () => {
        const signed = handMade().split(".").slice(0, 2).join(".");
        return `${signed}.${sign("sha256", Buffer.from(signed), nodeKey.privateKey).toString("base64url")}`;
      },
    ],
    ["padding", () => handMade(HEADER, PAYLOAD, (it) => `${text(it)}=`)],
    ["base64 in place of base64url", () => handMade().replace(/[-_]/g, "+").replace(/$/, "+")],
    [
      "unused bits that are set",
      () => handMade(HEADER, PAYLOAD, (it) => text(it).replace(/0$/, "1")),
    ],
    ["a space before", () => ` ${handMade()}`],
    ["two values", () => `${handMade()}, ${handMade()}`],
    ["a text after the string", () => `"${handMade()}" a`],
    ["a string with an escape", () => `"${handMade()}\\""`],
    ["a bare value with a parameter", () => `${handMade()};a=1`],
    ["one quote", () => `"${handMade()}`],
    ["a header that is no JSON", () => handMade("{")],
    ["a header that is an array", () => handMade([HEADER])],
    ["a header that is null", () => handMade("null")],
    ["a payload that is a text", () => handMade(HEADER, '"c"')],
    ["a payload that is a number", () => handMade(HEADER, "1e999")],
    [
      "bytes that are no UTF-8",
      () =>
        handMade(HEADER, PAYLOAD, (it) =>
          Buffer.concat([
            Buffer.from(JSON.stringify(it)).subarray(0, -1),
            Buffer.from([0x2c, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
          ]).toString("base64url"),
        ),
    ],
    ["a byte order mark", () => handMade(`\ufeff${JSON.stringify(HEADER)}`)],
    ["a member twice", () => handMade(HEADER, '{"jti":"x","jti":"c"}')],
    ["a member twice, once in escapes", () => handMade(HEADER, '{"jti":"x","\\u006ati":"c"}')],
    [
      "a member twice in the key",
      () => handMade(JSON.stringify(HEADER).replace('"kty"', '"kty":"RSA","kty"')),
    ],
    ["depth", () => handMade(HEADER, `{"jti":"c","a":${deep(40)}}`)],
    ["great depth", () => handMade(HEADER, `{"jti":"c","a":${deep(900)}}`)],
    ["a size above 4,096", () => handMade(HEADER, { ...PAYLOAD, a: "a".repeat(4_000) })],
    ["a size of a megabyte", () => handMade(HEADER, { ...PAYLOAD, a: "a".repeat(1_000_000) })],
    ["no type", () => handMade({ ...HEADER, typ: undefined })],
    ["another type", () => handMade({ ...HEADER, typ: "JWT" })],
    ["a type that is an array", () => handMade({ ...HEADER, typ: ["dbsc+jwt"] })],
    ["a critical extension", () => handMade({ ...HEADER, crit: ["exp"], exp: 1 })],
    ["an unencoded payload", () => handMade({ ...HEADER, b64: false, crit: ["b64"] })],
    ["no challenge", () => handMade(HEADER, {})],
    ["a challenge that is a number", () => handMade(HEADER, { jti: 1 })],
    ["a challenge that is an object", () => handMade(HEADER, { jti: { toString: 1 } })],
    ["no algorithm", () => handMade({ ...HEADER, alg: undefined })],
    ["the algorithm none", () => `${text({ ...HEADER, alg: "none" })}.${text(PAYLOAD)}.`],
    ["the algorithm none with a signature", () => handMade({ ...HEADER, alg: "none" })],
    ["another name of the algorithm", () => handMade({ ...HEADER, alg: "es256" })],
    ["the algorithm of another kind of key", () => handMade({ ...HEADER, alg: "RS256" })],
    [
      "HS256 with the public key as the secret",
      () => {
        const signed = `${text({ ...HEADER, alg: "HS256" })}.${text(PAYLOAD)}`;
        const pem = nodeKey.publicKey.export({ type: "spki", format: "pem" });
        return `${signed}.${createHmac("sha256", pem).update(signed).digest("base64url")}`;
      },
    ],
    ["no key", () => withKey(undefined)],
    ["a key that is null", () => withKey(null)],
    ["a key that is a text", () => withKey("EC")],
    ["a key that is an array", () => withKey([nodeJwk])],
    ["a symmetric key", () => withKey({ kty: "oct", k: "AAAA" })],
    ["a private key", () => withKey(nodeKey.privateKey.export({ format: "jwk" }))],
    ["a key of another curve", () => withKey({ ...nodeJwk, crv: "P-384" })],
    ["a key that is on no curve", () => withKey({ ...nodeJwk, y: x })],
    ["a key at infinity", () => withKey({ ...nodeJwk, x: "A".repeat(43), y: "A".repeat(43) })],
    ["a coordinate of 33 bytes", () => withKey({ ...nodeJwk, x: `AA${x}` })],
    ["a coordinate with padding", () => withKey({ ...nodeJwk, x: `${x}=` })],
    ["a coordinate that is missing", () => withKey({ kty: "EC", crv: "P-256", x })],
    ["a coordinate that is an array", () => withKey({ ...nodeJwk, x: [x] })],
    ["a key for another algorithm", () => withKey({ ...nodeJwk, alg: "ES384" })],
    [
      "a key of RSA with 1,024 bits",
      () =>
        withKey(
          generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey.export({ format: "jwk" }),
        ),
    ],
    [
      "a key of RSA with the exponent 1",
      () => withKey({ kty: "RSA", e: "AQ", n: "v".repeat(342) }),
    ],
    [
      "a modulus that begins with zero",
      () => withKey({ kty: "RSA", e: "AQAB", n: `AAAA${"v".repeat(342)}` }),
    ],
    ["different keys in both places", () => handMade(HEADER, { ...PAYLOAD, key: es.jwk })],
    [
      "a key in one place and no key in the other",
      () => handMade(HEADER, { ...PAYLOAD, key: y ?? "" }),
    ],
    [
      "a key by its address",
      () => handMade({ ...HEADER, jwk: undefined, jku: "https://example.com/" }),
    ],
    ["a certificate", () => handMade({ ...HEADER, jwk: undefined, x5c: ["AAAA"] })],
    [
      "a member __proto__ that brings the key",
      () =>
        handMade(`{"typ":"dbsc+jwt","alg":"ES256","__proto__":{"jwk":${JSON.stringify(nodeJwk)}}}`),
    ],
  ])("%s", (_name, make) => {
    expect(register(make())).toBeUndefined();
  });

  test("ES384, though jose has made it", async () => {
    expect(register(await joseMade(es384, "ES384", { jwk: es384.jwk }))).toBeUndefined();
  });

  test("PS256 with a key of RSA", async () => {
    const by = await pair("PS256");
    expect(register(await joseMade(by, "PS256", { jwk: by.jwk }))).toBeUndefined();
  });

  test("a key whose owner has not signed", async () => {
    expect(register(await joseMade(es, "ES256", { jwk: nodeJwk }))).toBeUndefined();
  });

  test("an algorithm that the app doesn't accept", async () => {
    const jws = await joseMade(rs, "RS256", { jwk: rs.jwk });
    expect(parseRegistration(jws, ["ES256"])).toBeUndefined();
    expect(parseRegistration(jws, ["RS256"])).toBeDefined();
  });

  test("a JWS in another form: of JSON, or with bytes for a payload", async () => {
    const bytes = await new CompactSign(Buffer.from([0, 1, 2]))
      .setProtectedHeader({ typ: "dbsc+jwt", alg: "ES256", jwk: es.jwk })
      .sign(es.privateKey);
    expect(register(bytes)).toBeUndefined();
    const [protectedHeader, payload, signature] = handMade().split(".");
    expect(
      register(JSON.stringify({ protected: protectedHeader, payload, signature })),
    ).toBeUndefined();
  });
});

const always = <T extends [unknown, ...unknown[]]>(property: fc.IProperty<T>) =>
  fc.assert(property, { seed, numRuns: isLong ? 20_000 : 300 });

describe("for any input", () => {
  test("no text throws", () => {
    const part = fc.oneof(
      fc.base64String(),
      fc.string(),
      fc.json().map(text),
      fc.constant(text(HEADER)),
    );
    const odd = fc.oneof(
      fc.string(),
      fc.array(part, { maxLength: 5 }).map((it) => it.join(".")),
    );
    always(
      fc.property(odd, (it) => {
        expect(register(it)).toBeUndefined();
      }),
    );
  });

  test("no header and payload throw, and only the right ones are accepted", () => {
    const member = fc.oneof(fc.jsonValue(), fc.constantFrom("dbsc+jwt", "ES256", "c", nodeJwk));
    const name = fc.oneof(fc.constantFrom("typ", "alg", "jwk", "jti", "key", "crit"), fc.string());
    const object = fc.dictionary(name, member);
    always(
      fc.property(object, object, (header, payload) => {
        const found = register(handMade(header, payload));
        if (!found) return;
        expect(header).toMatchObject({ typ: "dbsc+jwt", alg: "ES256" });
        expect(found.challenge).toBe(payload.jti);
      }),
    );
  });

  test("a change of any one character is refused", () => {
    const jws = handMade();
    const at = fc.nat({ max: jws.length - 1 });
    const character = fc.constantFrom(
      ...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."= ',
    );
    always(
      fc.property(at, character, (index, other) => {
        if (jws[index] === other) return;
        expect(register(jws.slice(0, index) + other + jws.slice(index + 1))).toBeUndefined();
      }),
    );
  });
});

test("a string of a structured field is read without its quotes, anything else as it is", () => {
  const values = ['"a"', "a", '"', '""', '"a', "", '"a";b', '"a"b'];
  expect(values.map(bare)).toEqual(["a", "a", '"', "", '"a', "", "a", '"a"b']);
});
