import type { KeyObject } from "node:crypto";
import { parseJson } from "@lanai/connection/json";
import jsonwebtoken from "jsonwebtoken";
import { isKid, type JwtAlgorithm, type KeySet } from "./keys.ts";
import type { JwtRefusal } from "./refusals.ts";

/** The claims that all our tokens have. Instants are seconds since the epoch (RFC 7519, 2). */
export interface Claims {
  readonly iss: string;
  readonly aud: string;
  readonly iat: number;
  readonly exp: number;
  readonly nbf?: number;
}

/** The conditions that a token must meet, whoever made it. */
export interface TokenTerms {
  /** RFC 8725, 3.11: a token of one kind never passes for one of another. */
  readonly typ: string;
  readonly issuer: string;
  readonly audience: string;
  readonly maxBytes: number;
}

export type Opened<T> =
  | { readonly claims: T; readonly refused?: undefined }
  | { readonly claims?: undefined; readonly refused: JwtRefusal };

const HEADER: readonly string[] = ["alg", "kid", "typ"];
/** The greatest depth of a token that is read. Ours have four; walking thousands overflows the stack. */
const MAX_DEPTH = 16;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Whether a text has the form of a JWT: three words of base64url, of `maxBytes` at most. */
export const hasForm = (text: string, maxBytes: number): boolean =>
  text.length <= maxBytes && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text);

/** The `kid` that a token names, which nothing has verified; `undefined` if it can't be one of ours. */
export function kidOf(text: string, maxBytes: number): string | undefined {
  if (!hasForm(text, maxBytes)) return undefined;
  const header = decode(text.slice(0, text.indexOf(".")));
  const { kid } = (header && parse(header)) ?? {};
  return isKid(kid) ? kid : undefined;
}

/**
 * Opens a token, but for its times: those are judged last, because jsonwebtoken, left alone, calls a
 * token of a foreign issuer expired rather than foreign. Nothing of it is believed before its
 * signature was verified with the key and the one algorithm that its `kid` names. Never throws for
 * what came.
 */
export function openToken<T extends Claims>(
  text: string,
  { typ, issuer, audience, maxBytes }: TokenTerms,
  keys: KeySet,
  isClaims: (claims: Record<string, unknown>) => boolean,
): Opened<T> {
  if (!hasForm(text, maxBytes)) return { refused: "malformed" };
  const parts = text.split(".").map(decode);
  const [first, payload] = parts;
  // RFC 4648, 3.5: a text with other unused bits would open as well, and be another text.
  if (!first || !payload || parts.includes(undefined)) return { refused: "malformed" };

  const header = parse(first);
  if (!header) return { refused: "malformed" };
  // Extensions that we don't know must not be ignored (RFC 7515, 4.1.11), and we know none.
  if (Object.keys(header).some((name) => !HEADER.includes(name)) || header.typ !== typ) {
    return { refused: "header" };
  }
  const key = keys.byKid.get(header.kid);
  if (!key) return { refused: "unknown-key" };
  if (header.alg !== key.alg) return { refused: "algorithm" };
  if (!isSigned(text, key.verifies, key.alg)) return { refused: "signature" };

  const claims = parse(payload);
  if (!claims || !areCommon(claims) || !isClaims(claims)) return { refused: "claims" };
  if (claims.iss !== issuer) return { refused: "issuer" };
  if (claims.aud !== audience) return { refused: "audience" };
  return { claims: claims as unknown as T };
}

export function signToken(claims: Claims, typ: string, { active }: KeySet): string {
  const { alg, kid, signs } = active;
  return jsonwebtoken.sign(claims, signs, { algorithm: alg, header: { alg, kid, typ } });
}

/** Whether a token's time has not come yet. `now` and `tolerance` are milliseconds. */
export const isInactive = ({ iat, nbf = 0 }: Claims, now: number, tolerance: number): boolean =>
  Math.max(iat, nbf) * 1000 > now + tolerance;

function isSigned(text: string, key: KeyObject, alg: JwtAlgorithm): boolean {
  try {
    jsonwebtoken.verify(text, key, {
      algorithms: [alg],
      ignoreExpiration: true,
      ignoreNotBefore: true,
    });
    return true;
  } catch {
    // Of any class: a payload that is no JSON is a SyntaxError there.
    return false;
  }
}

function decode(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, "base64url");
  return bytes.toString("base64url") === part ? bytes : undefined;
}

/** The object that JSON stands for, if no other reader could see another in it. */
function parse(bytes: Buffer): Record<string, unknown> | undefined {
  let text: string;
  let value: unknown;
  try {
    text = utf8.decode(bytes);
    value = parseJson(text, MAX_DEPTH);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  // RFC 7519, 4: of a name that comes twice a reader may take either.
  return membersOf(value) === namesIn(text) ? (value as Record<string, unknown>) : undefined;
}

/**
 * Returns the number of names that the members of valid JSON have as text: a string that a colon
 * follows is one.
 */
const namesIn = (json: string): number =>
  [...json.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)].filter(([, colon]) => colon).length;

/**
 * Returns the number of members as values; NaN, which no text has, if one is called `__proto__`.
 */
function membersOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  if (Object.hasOwn(value, "__proto__")) return Number.NaN;
  const members = Object.values(value).reduce((sum: number, each) => sum + membersOf(each), 0);
  return Array.isArray(value) ? members : members + Object.keys(value).length;
}

/** A whole number of seconds: no text, no fraction, no `1e999`. */
const isInstant = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0;

function areCommon({ iss, aud, iat, exp, nbf }: Record<string, unknown>): boolean {
  return (
    typeof iss === "string" &&
    typeof aud === "string" &&
    isInstant(iat) &&
    isInstant(exp) &&
    exp > iat &&
    (nbf === undefined || isInstant(nbf))
  );
}
