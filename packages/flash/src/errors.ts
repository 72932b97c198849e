import { CodedError } from "@lanai/connection/errors";

/** The code of a {@link FlashError}. Codes don't change between versions; messages may. */
export type FlashErrorCode =
  /** `ctx.flash` was used where there is no session of `@lanai/session`. */
  | "ERR_FLASH_NO_SESSION"
  /** A request left more messages than `maxMessages`. */
  | "ERR_FLASH_TOO_MANY"
  /** `ctx.flash` is another package's, or a `flash()` with other options. */
  | "ERR_FLASH_TAKEN";

/** A failed operation on messages. Known by its `code`, also between two copies of this package. */
export class FlashError extends CodedError<FlashErrorCode> {
  override readonly name = "FlashError";
}
