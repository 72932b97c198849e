import type { RefusalTerms } from "@lanai/session/tracker";

/** The reason for which a token isn't accepted, as the event `lanai:session:refused` reports it. */
export type JwtRefusal =
  /** It is no JWT in its only canonical spelling, or too long. */
  | "malformed"
  /** The request brought two cookies or `Authorization` headers, of which none is chosen. */
  | "ambiguous"
  /** A header parameter that the tracker doesn't write (`crit`, `jwk`, `b64`, …), or another `typ`. */
  | "header"
  /** No key has this `kid`. After a rotation the token may have been signed by a removed key. */
  | "unknown-key"
  /** The algorithm isn't that of the key; `none` is among these. */
  | "algorithm"
  /** The signature is wrong. */
  | "signature"
  /** Signed, but claims are missing, of other types or out of range, or `sid` is no id. */
  | "claims"
  /** Another `iss` than the option `issuer`. */
  | "issuer"
  /** Another `aud` than the option `audience`. */
  | "audience"
  /** Bound to another client: it may be stolen. The session stays alive where it belongs. */
  | "client"
  /** A generation that the store hasn't reached: the store may have been restored from a backup. */
  | "ahead"
  /** `nbf` or `iat` is in the future: a clock is wrong. */
  | "inactive"
  /**
   * Expired longer ago than `grace`. On a store that carries its data there is no `grace`, and the
   * close code is 4403, because the client may already have a fresh token.
   */
  | "expired"
  /** The signature is right, but the session has ended: signed out, expired in the store, or evicted. */
  | "ended"
  /** It was renewed, and used again after its successor: two hold it. The session has been ended. */
  | "reused";

/**
 * The terms of each refusal. The client is `shown` less than events report, so that it can't probe:
 * whatever is wrong with a token that this server can't have issued is `invalid`.
 */
export const refusals: Readonly<Record<JwtRefusal, Required<RefusalTerms>>> = {
  malformed: { shown: "invalid", level: "info", closeCode: 4401 },
  ambiguous: { shown: "invalid", level: "info", closeCode: 4401 },
  header: { shown: "invalid", level: "warn", closeCode: 4401 },
  "unknown-key": { shown: "invalid", level: "info", closeCode: 4401 },
  algorithm: { shown: "invalid", level: "warn", closeCode: 4401 },
  signature: { shown: "invalid", level: "warn", closeCode: 4401 },
  claims: { shown: "invalid", level: "warn", closeCode: 4401 },
  issuer: { shown: "invalid", level: "warn", closeCode: 4401 },
  audience: { shown: "invalid", level: "warn", closeCode: 4401 },
  client: { shown: "invalid", level: "warn", closeCode: 4401 },
  ahead: { shown: "invalid", level: "error", closeCode: 4401 },
  inactive: { shown: "inactive", level: "warn", closeCode: 4403 },
  expired: { shown: "expired", level: "info", closeCode: 4401 },
  ended: { shown: "unknown", level: "info", closeCode: 4401 },
  reused: { shown: "unknown", level: "error", closeCode: 4401 },
};

type Refused = { readonly refused: JwtRefusal } & RefusalTerms;
type Told = { readonly reason: JwtRefusal } & RefusalTerms;

export const refuse = (refused: JwtRefusal): Refused => ({ refused, ...refusals[refused] });
export const told = (reason: JwtRefusal): Told => ({ reason, ...refusals[reason] });
