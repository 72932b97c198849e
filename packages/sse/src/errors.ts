export type SseErrorCode =
  /** The cursor that a client came back with is none that a server can have sent. Status 400. */
  | "ERR_SSE_LAST_EVENT_ID"
  /** `ctx.sse()` after the response head has left. */
  | "ERR_SSE_SENT";

export interface SseErrorOptions {
  /** HTTP status that Koa answers with. Default: 500. */
  readonly status?: number;
  /** Whether the message may be shown to the client. Default: false. */
  readonly expose?: boolean;
}

/** A failed stream. Known by its `code`, also between two copies of this package. */
export class SseError extends Error {
  readonly code: SseErrorCode;
  readonly status: number;
  readonly expose: boolean;

  constructor(code: SseErrorCode, message: string, options: SseErrorOptions = {}) {
    super(message);
    this.name = "SseError";
    this.code = code;
    this.status = options.status ?? 500;
    this.expose = options.expose ?? false;
  }
}
