import type { ExtendableContext } from "koa";
import type { Awaitable } from "./store.ts";

/** The secret that names a session to the server. Never log it, list it or put it in a URL. */
export type Id = string;

/**
 * Makes ids.
 *
 * An id is unguessable and unique: at least 128 bits from a CSPRNG (OWASP ASVS 5.0, 7.2.3), in
 * characters that cookies and headers carry as they are (letters, digits, `-`, `_`, `.`, `~`). A
 * renewed id is the old one's first two characters followed by the rest of a fresh one, and must be
 * valid too.
 */
export interface IdGenerator {
  /** `ctx` is the request that needs the id; absent outside a request. */
  generate(ctx?: ExtendableContext): Awaitable<Id>;
  /**
   * Whether a text that a client sent can be an id of this generator. Called before any store call
   * with anything at all; never throws. A valid id need not exist.
   */
  isValid(id: string): boolean;
}
