import { PubSubError } from "@lanai/pubsub";

/** An outage, with its cause; an error that is one of ours already stays. */
export const unavailable = (message: string, cause?: unknown): PubSubError =>
  isPubSubError(cause)
    ? cause
    : new PubSubError("ERR_PUBSUB_UNAVAILABLE", message, cause === undefined ? {} : { cause });

/** A publish was given up: the message is stored or delivered once, or not at all. */
export function outcomeUnknown(why?: string, cause?: unknown): PubSubError {
  const reason = why ?? "the connection to NATS was lost before the server replied";
  return new PubSubError(
    "ERR_PUBSUB_UNAVAILABLE",
    `${reason}: the outcome is unknown, it was published once or not at all`,
    cause === undefined ? {} : { cause },
  );
}

/** Returns the error of a publish whose connection was lost before the server replied. */
export const afterSending = (error: unknown): unknown =>
  isUnavailable(error) ? outcomeUnknown(undefined, error) : error;

const isPubSubError = (error: unknown): error is PubSubError =>
  error instanceof Error && error.name === "PubSubError";

/** The number by which JetStream's API names a failure, or `undefined`. */
export function apiCode(error: unknown): number | undefined {
  const { code } = error as { code?: unknown };
  return typeof code === "number" ? code : undefined;
}

/** The server has no JetStream, not for this account, or not for this user. */
export function isJetStreamMissing(error: unknown): boolean {
  const { name, cause } = error as Partial<Error>;
  const code = apiCode(error);
  return (
    name === "JetStreamNotEnabled" ||
    name === "PermissionViolationError" ||
    (cause as Partial<Error> | undefined)?.name === "PermissionViolationError" ||
    code === 10039 ||
    code === 10076
  );
}

/** The client refuses to send it: it is larger than `max_payload`. */
export function isTooLarge(error: unknown): boolean {
  const { name, message = "" } = error as Partial<Error>;
  return name === "InvalidArgumentError" && message.includes("max_payload");
}

export const isStreamMissing = (error: unknown): boolean => apiCode(error) === 10059;

export const isUnavailable = (error: unknown): boolean =>
  isPubSubError(error) && error.code === "ERR_PUBSUB_UNAVAILABLE";

export const noStreams = (cause: unknown): PubSubError =>
  new PubSubError(
    "ERR_PUBSUB_NO_STREAMS",
    "this NATS server has no JetStream, or not for this user: start it with -js",
    { cause },
  );

export const tooLarge = (bytes: number, most: number): PubSubError =>
  new PubSubError(
    "ERR_PUBSUB_TOO_LARGE",
    `a message of ${bytes} bytes is larger than the NATS server takes, which is ${most}`,
  );
