import { CodedError } from "@lanai/connection/errors";

/** The code of a {@link JwtError}. Codes don't change between versions; messages may. */
export type JwtErrorCode =
  /**
   * The app's function for the keys failed, was too slow, or returned something invalid. Status
   * 503.
   */
  | "ERR_JWT_KEYS_UNAVAILABLE"
  /** A token is to be bound to a client, and none is known. */
  | "ERR_JWT_NO_CLIENT";

/** A failed operation of this package, known by its `code`. What clients send is never an error. */
export class JwtError extends CodedError<JwtErrorCode> {
  override readonly name = "JwtError";
}
