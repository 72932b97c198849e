import { PubSubError } from "@lanai/pubsub";

/** An outage, with its cause; an error that is one of ours already stays. */
export const unavailable = (message: string, cause?: unknown): PubSubError =>
  isPubSubError(cause)
    ? cause
    : new PubSubError("ERR_PUBSUB_UNAVAILABLE", message, cause === undefined ? {} : { cause });

const isPubSubError = (error: unknown): error is PubSubError =>
  error instanceof Error && error.name === "PubSubError";

/** The number by which JetStream's API names a failure, or `undefined`. */
export const apiCode = (error: unknown): number | undefined => {
  const { code } = error as { code?: unknown };
  return typeof code === "number" ? code : undefined;
};

/** The server has no JetStream, not for this account, or not for this user. */
export const isJetStreamMissing = (error: unknown): boolean => {
  const { name, cause } = error as Partial<Error>;
  const code = apiCode(error);
  return (
    name === "JetStreamNotEnabled" ||
    name === "PermissionViolationError" ||
    (cause as Partial<Error> | undefined)?.name === "PermissionViolationError" ||
    code === 10039 ||
    code === 10076
  );
};

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
