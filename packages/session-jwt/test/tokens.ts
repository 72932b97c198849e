import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import type { JwtAlgorithm, JwtKey } from "@lanai/session-jwt";

export const ISSUER = "https://lanai.example";
export const SECRET = "a secret of the tests that has more than 32 bytes";
export const TYP = "sess+jwt";
/** What ids look like. */
export const SID = "mNfMp0VO5KuhOKeoQDFlCR2cN8d0dFoOJ0zKeqR0wLA";

const pair = (kid: string, alg: JwtAlgorithm, make: () => { privateKey: KeyObject }): JwtKey => ({
  kid,
  alg,
  key: make().privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
});

/** One key of each kind of algorithm. */
export const KEYS: readonly JwtKey[] = [
  { kid: "hs", alg: "HS256", key: SECRET },
  pair("rs", "RS256", () => generateKeyPairSync("rsa", { modulusLength: 2048 })),
  pair("es", "ES256", () => generateKeyPairSync("ec", { namedCurve: "P-256" })),
];

/** All of them, of which one signs. */
export const keysSignedBy = (kid: string): JwtKey[] =>
  KEYS.map((key) => ({ ...key, state: key.kid === kid ? "active" : "pending" }));

export const keyOf = (kid: string): JwtKey => {
  const key = KEYS.find((it) => it.kid === kid);
  if (!key) throw new Error(`no key ${kid}`);
  return key;
};

/** The public half, in PEM: what everybody may know. */
export const publicPem = (kid: string): string =>
  createPublicKey(String(keyOf(kid).key))
    .export({ type: "spki", format: "pem" })
    .toString();

/** The claims of a token that is fine at `now`, in milliseconds. */
export const claimsAt = (now: number, sid: string = SID): Record<string, unknown> => {
  const iat = Math.floor(now / 1000);
  return { iss: ISSUER, aud: ISSUER, sid, gen: 0, iat, exp: iat + 900 };
};

export const base64url = (value: unknown): string =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

/** What is in a token, unverified. */
export const payloadOf = (token: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
