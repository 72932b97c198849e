import { createSecretKey, KeyObject } from "node:crypto";

/** A secret as an app has it: a text (its UTF-8 bytes count), bytes, or Node's own key object. */
export type SecretKey = string | Uint8Array | KeyObject;

/**
 * Makes Node's key object of a secret, once, at construction.
 *
 * @param option - Names the option in errors, which never show the secret.
 * @param minimum - The fewest bytes that are accepted.
 * @throws TypeError if it is no secret, RangeError if it is shorter than `minimum`.
 */
export function secretKey(option: string, secret: SecretKey, minimum: number): KeyObject {
  const key = keyObject(secret);
  if (key?.type !== "secret") {
    throw new TypeError(`${option} must be a string, a Uint8Array or a secret KeyObject`);
  }
  const size = key.symmetricKeySize ?? 0;
  if (size < minimum) {
    throw new RangeError(`${option} must have at least ${minimum} bytes, got ${size}`);
  }
  return key;
}

function keyObject(secret: unknown): KeyObject | undefined {
  if (secret instanceof KeyObject) return secret;
  if (typeof secret === "string") return createSecretKey(secret, "utf8");
  if (secret instanceof Uint8Array) return createSecretKey(secret);
  return undefined;
}
