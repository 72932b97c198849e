import type { RefusalTerms } from "@lanai/session";

export type JwtRefusal =
  | "malformed"
  | "ambiguous"
  | "header"
  | "unknown-key"
  | "algorithm"
  | "signature"
  | "claims"
  | "issuer"
  | "audience"
  | "client"
  | "ahead"
  | "inactive"
  | "expired"
  | "ended"
  | "reused";

/**
 * Why a token is not accepted, as events tell it. The client is `shown` less, so that it can't feel
 * its way: whatever was wrong with a token that we can't have issued is `invalid`.
 */
export const refusals: Readonly<Record<JwtRefusal, Required<RefusalTerms>>> = {
  /** No JWT in its one canonical spelling, or too long. */
  malformed: { shown: "invalid", level: "info", closeCode: 4401 },
  /** Two cookies or `Authorization` headers, of which none is guessed. */
  ambiguous: { shown: "invalid", level: "info", closeCode: 4401 },
  /** A header parameter that we don't write (`crit`, `jwk`, `b64`, …), or another `typ`. */
  header: { shown: "invalid", level: "warn", closeCode: 4401 },
  /** No key has this `kid`: right after a rotation it may have been one of ours. */
  "unknown-key": { shown: "invalid", level: "info", closeCode: 4401 },
  /** Not the algorithm of the key, `none` included. */
  algorithm: { shown: "invalid", level: "warn", closeCode: 4401 },
  signature: { shown: "invalid", level: "warn", closeCode: 4401 },
  /** Signed, but claims are missing, of other types or out of range, or `sid` is no id. */
  claims: { shown: "invalid", level: "warn", closeCode: 4401 },
  issuer: { shown: "invalid", level: "warn", closeCode: 4401 },
  audience: { shown: "invalid", level: "warn", closeCode: 4401 },
  /** Bound to another client: stolen, it may be. The session goes on where it belongs. */
  client: { shown: "invalid", level: "warn", closeCode: 4401 },
  /** A generation that the store has not reached: it was restored from a backup, it may be. */
  ahead: { shown: "invalid", level: "error", closeCode: 4401 },
  /** `nbf` or `iat` is in the future: somebody's clock is wrong. */
  inactive: { shown: "inactive", level: "warn", closeCode: 4403 },
  /**
   * Expired for good: longer ago than `grace`. On a store that carries its data there is no `grace`, and
   * the close code is 4403: a client that went on meanwhile may have a fresh one.
   */
  expired: { shown: "expired", level: "info", closeCode: 4401 },
  /** We signed it, and its session is no more: signed out, expired in the store, or evicted. */
  ended: { shown: "unknown", level: "info", closeCode: 4401 },
  /** Renewed before, and used again after its successor: two hold it. The session has been ended. */
  reused: { shown: "unknown", level: "error", closeCode: 4401 },
};

type Refused = { readonly refused: JwtRefusal } & RefusalTerms;
type Told = { readonly reason: JwtRefusal } & RefusalTerms;

export const refuse = (refused: JwtRefusal): Refused => ({ refused, ...refusals[refused] });
export const told = (reason: JwtRefusal): Told => ({ reason, ...refusals[reason] });
