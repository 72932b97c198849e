import { randomBytes } from "node:crypto";
import type { IdGenerator } from "../id-generator.ts";

/** The last of 43 characters carries four bits, so that only sixteen of the alphabet can be it. */
const CANONICAL = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;

/**
 * Ids of 256 bits from a CSPRNG, as 43 characters of base64url: the default.
 *
 * OWASP ASVS 5.0, 7.2.3 asks for 128 bits. A text that decodes to the same bytes in another spelling
 * is not valid: an id has one form.
 */
export function randomIds(): IdGenerator {
  return {
    generate: () => randomBytes(32).toString("base64url"),
    isValid: (id) => CANONICAL.test(id),
  };
}
