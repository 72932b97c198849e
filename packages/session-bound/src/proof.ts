import { verify } from "node:crypto";
import {
  algorithmOf,
  type BoundAlgorithm,
  type DeviceKey,
  keyObject,
  parseDeviceKey,
  thumbprintOf,
} from "./device-key.ts";
import { fromBase64url, parseObject } from "./strict-json.ts";

/** The content of `Secure-Session-Response`, before its signature was verified. */
export interface Proof {
  readonly algorithm: string;
  /** The challenge that was signed. */
  readonly challenge: string;
  /** The key that a registration brings; `undefined` in a refresh. */
  readonly key: DeviceKey | undefined;
  /** Returns whether this key has signed the proof. */
  isSignedBy(key: DeviceKey): boolean;
}

/** An RSA key of 4,096 bits and its signature take less than 2,200 characters. */
const MAX_LENGTH = 4_096;
const FORM = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/;
/** The header or the payload, the key in it, and one more. */
const MAX_DEPTH = 3;

/**
 * Returns the text in a string of a structured field, without its parameters (RFC 9651, 3.3.3), or the
 * whole value if it is bare.
 */
export const bare = (value: string): string => /^"([^"\\]*)"(?:;.*)?$/s.exec(value)?.[1] ?? value;

/**
 * Reads a DBSC proof: a JWS in compact form (RFC 7515) whose type is `dbsc+jwt`. Chromium brings the
 * key as `jwk` in the header, the specification as `key` in the payload; a proof with both must
 * bring the same. Size, form and depth are checked before anything is decoded or parsed.
 *
 * @returns `undefined` for any other text. Never throws.
 */
export function parseProof(header: string): Proof | undefined {
  if (header.length > MAX_LENGTH) return undefined;
  const [, first, second, third] = FORM.exec(bare(header)) ?? [];
  if (first === undefined || second === undefined || third === undefined) return undefined;
  const [head, body, signature] = [first, second, third].map(fromBase64url);
  if (!head || !body || !signature) return undefined;
  const top = parseObject(head, MAX_DEPTH);
  const payload = parseObject(body, MAX_DEPTH);
  // Extensions that are marked as critical must not be ignored (RFC 7515, 4.1.11).
  if (!top || !payload || top.typ !== "dbsc+jwt" || "crit" in top) return undefined;
  const { alg: algorithm } = top;
  const { jti: challenge } = payload;
  if (typeof algorithm !== "string" || typeof challenge !== "string") return undefined;

  const brought = [top.jwk, payload.key].filter((it) => it !== undefined);
  const keys = brought.map(parseDeviceKey);
  const [key, other = key] = keys;
  if (keys.includes(undefined)) return undefined;
  if (key && other && thumbprintOf(key) !== thumbprintOf(other)) return undefined;

  const signed = Buffer.from(`${first}.${second}`);
  return {
    algorithm,
    challenge,
    key,
    isSignedBy(by) {
      const object = keyObject(by);
      if (object === undefined || algorithm !== algorithmOf(by)) return false;
      try {
        // ES256 is r and s side by side (RFC 7518, 3.4); RSA keys take no notice of the encoding.
        return verify("sha256", signed, { key: object, dsaEncoding: "ieee-p1363" }, signature);
      } catch {
        return false;
      }
    },
  };
}

/** Reads a registration: a proof that brings its key and is signed by it with an accepted algorithm. */
export function parseRegistration(
  header: string,
  algorithms: readonly BoundAlgorithm[],
): { readonly key: DeviceKey; readonly challenge: string } | undefined {
  const proof = parseProof(header);
  if (proof?.key === undefined || !algorithms.includes(algorithmOf(proof.key))) return undefined;
  return proof.isSignedBy(proof.key) ? { key: proof.key, challenge: proof.challenge } : undefined;
}
