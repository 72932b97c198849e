import { inspect } from "node:util";
import { type Awaitable, knownOptions, type SecretKey } from "@lanai/session";
import { type JwtKeys, type KeySet, keySource } from "./keys.ts";

/** What all our tokens have in common. Either `secret` or `keys`. */
export interface TokenOptions {
  /** The one key: at least 32 bytes, for HS256. It is a set of one, with the `kid` `1`. */
  readonly secret?: SecretKey;
  /** Several keys, or a function that answers them, so that they can be rotated. */
  readonly keys?: JwtKeys;
  /** Who issues the tokens, `iss`: a name or an address of your app. */
  readonly issuer: string;
  /** For whom they are, `aud`. Default: the issuer. */
  readonly audience?: string;
  /**
   * By how many milliseconds the clocks of those who issue tokens may be ahead of ours. From 0 to
   * 60,000. Default: 5,000.
   */
  readonly clockTolerance?: number;
  /** The current time in milliseconds since the epoch. Default: `Date.now`. */
  readonly clock?: () => number;
}

export interface CheckedTokenOptions {
  readonly source: () => Awaitable<KeySet>;
  readonly issuer: string;
  readonly audience: string;
  readonly clockTolerance: number;
  readonly clock: () => number;
}

const COMMON = ["secret", "keys", "issuer", "audience", "clockTolerance", "clock"];

const HINTS: Readonly<Record<string, string>> = {
  algorithm: "an algorithm belongs to a key: write keys: [{ kid, alg, key }]",
  algorithms: "an algorithm belongs to a key: write keys: [{ kid, alg, key }]",
  cookie: "write carrier: cookieTracker({ … })",
  header: "write carrier: headerTracker({ name })",
  name: "write carrier: headerTracker({ name })",
  maxAge: "write expiresIn",
};

/** @throws TypeError or RangeError for what doesn't exist or can't be, never with a secret in it. */
export function checkTokenOptions(
  owner: string,
  options: TokenOptions,
  own: readonly string[],
): CheckedTokenOptions {
  knownOptions(owner, options, [...COMMON, ...own], HINTS);
  const { secret, keys, issuer, clockTolerance = 5_000, clock = Date.now } = options;
  const { audience = issuer } = options;
  if ((secret === undefined) === (keys === undefined)) {
    const got = secret === undefined ? "neither" : "both";
    throw new TypeError(`${owner}: takes either secret or keys, got ${got}`);
  }
  checkText(owner, "issuer", issuer);
  checkText(owner, "audience", audience);
  checkTime(owner, "clockTolerance", clockTolerance, 0, 60_000);
  if (typeof clock !== "function") {
    throw new TypeError(`${owner}: clock must be a function, got ${typeof clock}`);
  }
  const one = secret === undefined ? [] : [{ kid: "1", alg: "HS256", key: secret } as const];
  return { source: keySource(owner, keys ?? one, clock), issuer, audience, clockTolerance, clock };
}

function checkText(owner: string, option: string, value: unknown): void {
  if (typeof value === "string" && value !== "" && value.length <= 256) return;
  const got = typeof value === "string" ? `${value.length} characters` : typeof value;
  throw new TypeError(`${owner}: ${option} must be a text of 1 to 256 characters, got ${got}`);
}

export function checkTime(
  owner: string,
  option: string,
  value: unknown,
  least: number,
  most: number,
): void {
  if (typeof value === "number" && value >= least && value <= most) return;
  throw new RangeError(
    `${owner}: ${option} must be from ${least} to ${most} milliseconds, got ${inspect(value)}`,
  );
}
