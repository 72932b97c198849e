import {
  anything,
  checkOptions,
  duration,
  func,
  type Rules,
  required,
  value,
} from "@lanai/connection/options";
import type { Awaitable, SecretKey } from "@lanai/session";
import { type JwtKeys, type KeySet, keySource } from "./keys.ts";

/** The options that all our tokens have in common. Either `secret` or `keys`. */
export interface TokenOptions {
  /** The one key: at least 32 bytes, for HS256. It is a set of one, with the `kid` `1`. */
  readonly secret?: SecretKey;
  /** Several keys, or a function that returns them, so that they can be rotated. */
  readonly keys?: JwtKeys;
  /** Who issues the tokens, `iss`: a name or an address of your app. */
  readonly issuer: string;
  /** The audience, `aud`. Default: the issuer. */
  readonly audience?: string;
  /**
   * The clock tolerance, in milliseconds: the clocks of the token's issuers may be ahead of ours by
   * this. From 0 to 60,000. Default: 5,000.
   */
  readonly clockTolerance?: number;
  /** The current time in milliseconds since the epoch. Default: `Date.now`. */
  readonly clock?: () => number;
}

export interface CheckedTokenOptions {
  readonly source: (kid?: string) => Awaitable<KeySet>;
  readonly issuer: string;
  readonly audience: string;
  readonly clockTolerance: number;
  readonly clock: () => number;
}

const name = required(
  value(
    "a text of 1 to 256 characters",
    (it) => typeof it === "string" && it !== "" && it.length <= 256,
  ),
);

const RULES: Rules<TokenOptions> = {
  secret: anything,
  keys: anything,
  issuer: name,
  audience: { ...name, isRequired: false },
  clockTolerance: duration(0, 60_000),
  clock: func,
};

const HINTS: Readonly<Record<string, string>> = {
  algorithm: "an algorithm belongs to a key: write keys: [{ kid, alg, key }]",
  algorithms: "an algorithm belongs to a key: write keys: [{ kid, alg, key }]",
  cookie: "write carrier: cookieTracker({ … })",
  header: "write carrier: headerTracker({ name })",
  name: "write carrier: headerTracker({ name })",
  maxAge: "write expiresIn",
};

/**
 * @param own - The rules of the options that only `owner` has.
 * @throws TypeError or RangeError for what doesn't exist or can't be, never with a secret in it.
 */
export function checkTokenOptions<Options extends TokenOptions>(
  owner: string,
  options: Options,
  own: Rules<Omit<Options, keyof TokenOptions>>,
): CheckedTokenOptions {
  checkOptions<TokenOptions>(owner, options, { ...RULES, ...own }, HINTS);
  const { secret, keys, issuer, clockTolerance = 5_000, clock = Date.now } = options;
  const { audience = issuer } = options;
  if ((secret === undefined) === (keys === undefined)) {
    const got = secret === undefined ? "neither" : "both";
    throw new TypeError(`${owner}: takes either secret or keys, got ${got}`);
  }
  const one = secret === undefined ? [] : [{ kid: "1", alg: "HS256", key: secret } as const];
  return { source: keySource(owner, keys ?? one, clock), issuer, audience, clockTolerance, clock };
}
