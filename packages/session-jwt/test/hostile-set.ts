import { inspect } from "node:util";
import type { JwtRefusal } from "@lanai/session-jwt";
import { base64url, claimsAt, ISSUER, KEYS, keyOf, publicPem, SECRET, TYP } from "./tokens.ts";

/** Another implementation of JSON Web Signature: it signs whatever it is given. */
export interface Signer {
  readonly name: string;
  /**
   * `header` has the algorithm, also `none`. A `b64` of false signs the payload's base64url as it is:
   * who ignores it finds the signature right. `key` is a secret, or a private key in PEM.
   */
  sign(header: Record<string, unknown>, payload: string, key: string): Promise<string>;
}

export interface Hostile {
  readonly what: string;
  /** As an event tells it. */
  readonly reason: JwtRefusal;
  readonly token: string;
}

const header = (more: Record<string, unknown> = {}) => ({
  alg: "HS256",
  kid: "hs",
  typ: TYP,
  ...more,
});

/** Everything that must not open a session, each with its row of the table of refusals. */
export async function hostileSet(signer: Signer, now: number, sid: string): Promise<Hostile[]> {
  const good = claimsAt(now, sid);
  const seconds = Math.floor(now / 1000);
  const text = JSON.stringify(good);
  const signed = (payload: string | Record<string, unknown>, more = {}, key = SECRET) =>
    signer.sign(header(more), typeof payload === "string" ? payload : JSON.stringify(payload), key);
  const unsigned = (payload: string, more = {}, signature = "AAAA") =>
    `${base64url(header(more))}.${base64url(payload)}.${signature}`;
  const without = (claim: string) => ({ ...good, [claim]: undefined });

  const fine = await signed(good);
  const [head = "", body = "", signature = ""] = fine.split(".");
  const set: Hostile[] = [];
  const add = (what: string, reason: JwtRefusal, token: string) =>
    set.push({ what, reason, token });

  // ── the text ──
  for (const [what, token] of [
    ["no JWT", "hello"],
    ["two parts", `${head}.${body}`],
    ["four parts", `${fine}.AAAA`],
    ["no header", `.${body}.${signature}`],
    ["no payload", `${head}..${signature}`],
    ["no signature", `${head}.${body}.`],
    ["padding", `${fine}=`],
    ["padding inside", `${head}=.${body}.${signature}`],
    ["a space inside", `${head}. ${body}.${signature}`],
    ["the other alphabet", `${head}.${body}.${signature.slice(0, -4)}+/+/`],
    ["two tokens in one header", `${fine}, ${fine}`],
    ["1 MB of one letter", "a".repeat(2 ** 20)],
    ["1 MB in the form of a token", `${head}.${"A".repeat(2 ** 20)}.${signature}`],
    ["one byte too many", `${head}.${body}.${"A".repeat(4096 - head.length - body.length - 1)}`],
    ["a header that is no JSON", `${base64url("{bad")}.${body}.${signature}`],
    ["a header that is no object", `${base64url("[]")}.${body}.${signature}`],
    ["a header that is null", `${base64url("null")}.${body}.${signature}`],
    [
      "a header with alg twice",
      `${base64url(`{"alg":"none",${JSON.stringify(header()).slice(1)}`)}.${body}.${signature}`,
    ],
    [
      "a header with __proto__",
      `${base64url(`{"__proto__":{},${JSON.stringify(header()).slice(1)}`)}.${body}.${signature}`,
    ],
  ] as const) {
    add(what, "malformed", token);
  }
  for (const { kid, alg, key } of KEYS) {
    const genuine = await signed(good, { alg, kid }, String(key));
    for (const last of otherSpellings(genuine)) {
      add(`${alg} with the last character ${last}`, "malformed", genuine.slice(0, -1) + last);
    }
  }

  // ── the header ──
  add("the algorithm none", "malformed", await signed(good, { alg: "none" }));
  // No implementation signs these: they are made by hand.
  for (const none of ["none", "None", "nOnE", "NONE", "none ", ""]) {
    add(`the algorithm "${none}" with a signature`, "algorithm", unsigned(text, { alg: none }));
  }
  for (const alg of [null, 7, {}, ["HS256"], "EdDSA", "constructor"]) {
    add(`the algorithm ${JSON.stringify(alg)}`, "algorithm", unsigned(text, { alg }));
  }
  for (const [alg, key] of [
    ["HS512", SECRET.repeat(2)],
    ["RS256", String(keyOf("rs").key)],
    ["ES256", String(keyOf("es").key)],
  ] as const) {
    add(`signed by ${alg}, at the kid of HS256`, "algorithm", await signed(good, { alg }, key));
  }
  for (const kid of [
    "unknown",
    "__proto__",
    "constructor",
    "../../etc/passwd",
    "' OR 1=1 --",
    "",
    7,
    null,
    ["hs"],
    {},
  ]) {
    add(`signed, with the kid ${JSON.stringify(kid)}`, "unknown-key", await signed(good, { kid }));
  }
  add("signed, with no kid", "unknown-key", await signed(good, { kid: undefined }));
  for (const extension of [
    { crit: ["exp"], exp: good.exp },
    { crit: ["https://attacker.example/"], "https://attacker.example/": true },
    { crit: ["b64"], b64: false },
    { jku: "https://attacker.example/keys" },
    { jwk: { kty: "oct", k: "AAAA" } },
    { x5u: "https://attacker.example/cert" },
    { x5c: ["AAAA"] },
    { zip: "DEF" },
    { typ: "at+jwt" },
    { typ: "JWT" },
    { typ: "sess-data+jwt" },
    { typ: undefined },
    { typ: ["sess+jwt"] },
  ]) {
    add(`signed, with ${inspect(extension)}`, "header", await signed(good, extension));
  }
  for (const extension of [{ crit: [] }, { crit: "exp" }, { b64: true }]) {
    const token = unsigned(text, extension, signature);
    add(`the header has ${JSON.stringify(extension)}`, "header", token);
  }

  // ── the signature ──
  add("another secret", "signature", await signed(good, {}, `${SECRET}!`));
  add(
    "HS256 with the public key of RS256",
    "algorithm",
    await signed(good, { kid: "rs" }, publicPem("rs")),
  );
  add(
    "HS256 with the public key of RS256, at the kid of HS256",
    "signature",
    await signed(good, {}, publicPem("rs")),
  );
  add(
    "a payload that was exchanged",
    "signature",
    `${head}.${base64url({ ...good, sid: sid.replace(/^../, "zz") })}.${signature}`,
  );
  add("an unsigned payload that is no JSON", "signature", unsigned("{bad"));
  add("a signature of zeros", "signature", unsigned(text, {}, "A".repeat(43)));

  // ── the claims ──
  for (const [what, payload] of [
    ["no JSON", "{bad"],
    ["empty", " "],
    ["null", "null"],
    ["an array", "[1]"],
    ["a string", '"hello"'],
    ["a number", "7"],
    ["a duplicate claim", `{"sid":"other",${text.slice(1)}`],
    ["a duplicate claim, escaped", `{"s\\u0069d":"other",${text.slice(1)}`],
    ["a __proto__ claim", `{"__proto__":{"sid":"other"},${text.slice(1)}`],
    ["a __proto__ deep inside", `{"a":[{"__proto__":{}}],${text.slice(1)}`],
    ["an infinite exp", text.replace(/"exp":\d+/, '"exp":1e400')],
    ["a byte order mark", `\uFEFF${text}`],
  ] as const) {
    add(`a signed payload that is ${what}`, "claims", await signed(payload));
  }
  for (const [what, claims] of [
    ["no exp", without("exp")],
    ["no iat", without("iat")],
    ["no sid", without("sid")],
    ["no gen", without("gen")],
    ["no iss", without("iss")],
    ["no aud", without("aud")],
    ["a textual exp", { ...good, exp: String(good.exp) }],
    ["a negative exp", { ...good, exp: -1 }],
    ["a fractional exp", { ...good, exp: Number(good.exp) + 0.5 }],
    ["an exp of null", { ...good, exp: null }],
    ["an exp of 2^53", { ...good, exp: 2 ** 53 }],
    ["an exp in two days", { ...good, exp: seconds + 2 * 86_400 }],
    ["an exp before its iat", { ...good, exp: seconds - 1 }],
    ["an iat of text", { ...good, iat: "now" }],
    ["an nbf of text", { ...good, nbf: "now" }],
    ["a sid of another type", { ...good, sid: 7 }],
    ["an empty sid", { ...good, sid: "" }],
    ["a negative gen", { ...good, gen: -1 }],
    ["a gen of text", { ...good, gen: "0" }],
    ["an iss of another type", { ...good, iss: [ISSUER] }],
    ["an aud of several", { ...good, aud: [ISSUER, "other"] }],
  ] as const) {
    add(`claims with ${what}`, "claims", await signed(claims));
  }
  add("another issuer", "issuer", await signed({ ...good, iss: "https://other.example" }));
  add("another audience", "audience", await signed({ ...good, aud: "https://other.example" }));
  add("the issuer with a slash", "issuer", await signed({ ...good, iss: `${ISSUER}/` }));
  const expired = { ...good, iat: seconds - 900, exp: seconds - 1 };
  add(
    "expired and another issuer",
    "issuer",
    await signed({ ...expired, iss: "https://other.example" }),
  );
  add(
    "expired and another audience",
    "audience",
    await signed({ ...expired, aud: "https://other.example" }),
  );

  // ── the times ──
  add(
    "an iat in the future",
    "inactive",
    await signed({ ...good, iat: seconds + 60, exp: seconds + 960 }),
  );
  add("an nbf in the future", "inactive", await signed({ ...good, nbf: seconds + 60 }));
  const long = { ...good, iat: seconds - 900 - 86_400, exp: seconds - 86_401 };
  add("expired for longer than its grace", "expired", await signed(long));
  return set;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/**
 * The other last characters with which a signature decodes to the same bytes: of 43 characters of
 * base64url (HS256) two bits are unused, of 86 (ES256) and 342 (RS256) four.
 */
const otherSpellings = (token: string): string[] => {
  const signature = token.slice(token.lastIndexOf(".") + 1);
  const last = ALPHABET.indexOf(signature.slice(-1));
  const spellings = 2 ** ((signature.length * 6) % 8);
  return Array.from({ length: spellings - 1 }, (_, bits) => ALPHABET.charAt(last ^ (bits + 1)));
};
