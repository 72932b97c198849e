import { PubSubError } from "../errors.ts";
import { emitEvent } from "../events.ts";
import type { Gap, Message, SubscribeOptions } from "../pubsub.ts";

/**
 * Reports what goes wrong in one subscription: to its callbacks, and as events. Nothing that a
 * callback throws gets out of here.
 */
export class FailureReports {
  readonly #subject: string;
  readonly #onError: SubscribeOptions["onError"];
  readonly #onGap: SubscribeOptions["onGap"];

  constructor(subject: string, { onError, onGap }: SubscribeOptions) {
    this.#subject = subject;
    this.#onError = onError;
    this.#onGap = onGap;
  }

  /** Reports a failure to `onError`, or as a warning of the process if there is none. */
  error(error: PubSubError, message?: Message): void {
    emitEvent("error", { level: "error", subject: this.#subject, error });
    try {
      if (!this.#onError) warn(this.#subject, error);
      else if (!message) this.#onError(error);
      else {
        const { data: _, ...meta } = message;
        this.#onError(error, meta);
      }
    } catch (failure) {
      warn(this.#subject, failure);
    }
  }

  /** Reports what the handler threw, or rejected with. */
  handlerError(cause: unknown, message: Message): void {
    // A layer above has said already what kind of failure it is.
    const error = isDecodeError(cause)
      ? cause
      : new PubSubError("ERR_PUBSUB_HANDLER", "a handler failed: see the cause", { cause });
    this.error(error, message);
  }

  /** Emits the event of a gap, and returns the gap for {@link callOnGap}. */
  gap(reason: Gap["reason"], count?: number): Gap {
    const subject = this.#subject;
    const gap: Gap = count === undefined ? { subject, reason } : { subject, reason, count };
    emitEvent("gap", { level: "warn", ...gap });
    return gap;
  }

  callOnGap(gap: Gap): void {
    try {
      this.#onGap?.(gap);
    } catch (error) {
      warn(this.#subject, error);
    }
  }
}

const isDecodeError = (error: unknown): error is PubSubError =>
  error instanceof Error && (error as Partial<PubSubError>).code === "ERR_PUBSUB_DECODE";

/** Emits a warning of the process: the last resort, so that no failure goes unseen. */
export function warn(subject: string | undefined, error: unknown): void {
  const { message, cause } = error as Partial<Error>;
  const detail = cause instanceof Error ? cause.stack : undefined;
  process.emitWarning(`a subscription of ${subject} failed: ${message ?? error}`, {
    type: "PubSubWarning",
    ...(detail !== undefined && { detail }),
  });
}
