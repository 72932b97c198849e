import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { fromBase64url } from "./strict-json.ts";

/** The signature algorithms of RFC 7518, 3.1, that browsers offer for keys in hardware. */
export type BoundAlgorithm = "ES256" | "RS256";

/** A device's public key, with the members that its thumbprint is made of and no other. */
export type DeviceKey =
  | { readonly kty: "EC"; readonly crv: "P-256"; readonly x: string; readonly y: string }
  | { readonly kty: "RSA"; readonly e: "AQAB"; readonly n: string };

const COORDINATE_BYTES = 32;
/** RFC 7518, 3.3: 2,048 bits or more; hardware makes no more than 4,096. */
const MODULUS_BYTES = { least: 256, most: 512 } as const;

export const algorithmOf = (key: DeviceKey): BoundAlgorithm =>
  key.kty === "EC" ? "ES256" : "RS256";

/**
 * Reads a JWK (RFC 7517) that a browser sent or a store kept: a P-256 key, or an RSA key of 2,048 to
 * 4,096 bits with the exponent 65,537.
 *
 * @returns `undefined` for any other key, for a private one, and for what is none.
 */
export function parseDeviceKey(value: unknown): DeviceKey | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { kty, crv, x, y, n, e, alg, d } = value as Record<string, unknown>;
  let key: DeviceKey | undefined;
  if (kty === "EC" && crv === "P-256" && isCoordinate(x) && isCoordinate(y)) {
    key = { kty, crv, x, y };
  } else if (kty === "RSA" && e === "AQAB" && isModulus(n)) {
    key = { kty, e, n };
  }
  if (key === undefined || d !== undefined) return undefined;
  if (alg !== undefined && alg !== algorithmOf(key)) return undefined;
  return keyObject(key) && key;
}

/** Returns Node's object of a key, or `undefined` for a point that is not on the curve. */
export function keyObject(key: DeviceKey): KeyObject | undefined {
  try {
    return createPublicKey({ key: { ...key }, format: "jwk" });
  } catch {
    return undefined;
  }
}

/** Returns the key's thumbprint: SHA-256 over its required members in order (RFC 7638, 3). */
export function thumbprintOf(key: DeviceKey): string {
  const members =
    key.kty === "EC"
      ? { crv: key.crv, kty: key.kty, x: key.x, y: key.y }
      : { e: key.e, kty: key.kty, n: key.n };
  return createHash("sha256").update(JSON.stringify(members)).digest("base64url");
}

const isCoordinate = (value: unknown): value is string =>
  typeof value === "string" &&
  value.length === 43 &&
  fromBase64url(value)?.length === COORDINATE_BYTES;

function isModulus(value: unknown): value is string {
  if (typeof value !== "string" || value.length > 2 * MODULUS_BYTES.most) return false;
  const bytes = fromBase64url(value);
  const { least, most } = MODULUS_BYTES;
  return bytes !== undefined && bytes.length >= least && bytes.length <= most && bytes[0] !== 0;
}
