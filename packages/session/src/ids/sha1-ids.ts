import { createHmac, randomBytes } from "node:crypto";
import { anything, checkOptions } from "@lanai/connection/options";
import type { IdGenerator } from "../id-generator.ts";
import { type SecretKey, secretKey } from "../secret-key.ts";

/** Options of `sha1Ids`. */
export interface Sha1IdsOptions {
  /** The key, of at least 20 bytes (RFC 2104, 3). Default: random bytes, made anew by every process. */
  readonly key?: SecretKey;
}

const HEX = /^[0-9a-f]{40}$/;

/**
 * Ids that look like SHA-1 (40 hexadecimal digits, lower case), for those who must match a system
 * that takes nothing else: an HMAC-SHA-1 of the client's address, the time and 24 bytes from a
 * CSPRNG.
 *
 * Its cost: 160 bits in 40 characters, where {@link randomIds} has 256 in 43, and an HMAC for each.
 * That SHA-1 collides does no harm here: nobody verifies an id, and all of its strength comes from
 * the random bytes; address and time add none.
 *
 * @throws TypeError or RangeError if `key` is no secret or too short.
 */
export function sha1Ids(options: Sha1IdsOptions = {}): IdGenerator {
  checkOptions("sha1Ids", options, { key: anything }, { secret: "write key" });
  const key = secretKey("sha1Ids: key", options.key ?? randomBytes(32), 20);
  return {
    generate: (ctx) =>
      createHmac("sha1", key)
        .update(`${ctx?.ip ?? ""} ${Date.now()} `)
        .update(randomBytes(24))
        .digest("hex"),
    isValid: (id) => HEX.test(id),
  };
}
