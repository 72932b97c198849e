export type FlashErrorCode =
  /** `ctx.flash` was used where there is no session of `@lanai/session`. */
  | "ERR_FLASH_NO_SESSION"
  /** A request left more messages than `maxMessages`. */
  | "ERR_FLASH_TOO_MANY"
  /** `ctx.flash` is another package's, or a `flash()` with other options. */
  | "ERR_FLASH_TAKEN";

/** A failed operation on messages. Known by its `code`, also between two copies of this package. */
export class FlashError extends Error {
  readonly code: FlashErrorCode;
  /** HTTP status that Koa answers with. */
  readonly status = 500;
  /** The message is for the app's author, not for the client. */
  readonly expose = false;

  constructor(code: FlashErrorCode, message: string) {
    super(message);
    this.name = "FlashError";
    this.code = code;
  }
}
