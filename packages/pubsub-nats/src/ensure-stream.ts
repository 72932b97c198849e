import { PubSubError } from "@lanai/pubsub";
import type { StreamSettings } from "@lanai/pubsub/backend";
import type { JetStreamManager, StreamConfig } from "@nats-io/jetstream";
import { apiCode, isJetStreamMissing, isUnavailable, noStreams, unavailable } from "./errors.ts";
import type { Link } from "./link.ts";
import type { Settings } from "./options.ts";

/** For how long the server knows the id of a message, in nanoseconds: two minutes. */
const DUPLICATE_WINDOW = 120_000_000_000;
/** JetStream: there is a stream of this name, with another configuration. */
const OTHER_CONFIGURATION = 10058;

/**
 * Makes the stream, or changes its subjects and limits and nothing else.
 *
 * @throws PubSubError `ERR_PUBSUB_STREAM` with what the server says against it,
 *   `ERR_PUBSUB_NO_STREAMS`, `ERR_PUBSUB_UNAVAILABLE`.
 */
export async function ensureStream(
  link: Link,
  { streams }: JetStreamManager,
  { prefix, storage, replicas }: Settings,
  { name, subjects, maxMsgs, maxAge }: StreamSettings,
): Promise<void> {
  const max_age = maxAge === Infinity ? 0 : maxAge * 1_000_000;
  const wanted = {
    subjects: subjects.map((subject) => `${prefix}.${subject}`),
    max_msgs: maxMsgs,
    max_age,
    // The server wants it no longer than a message is kept.
    duplicate_window: max_age === 0 ? DUPLICATE_WINDOW : Math.min(DUPLICATE_WINDOW, max_age),
  };
  const made: Partial<StreamConfig> & Pick<StreamConfig, "name"> = {
    name,
    ...wanted,
    storage,
    num_replicas: replicas,
    retention: "limits",
    discard: "old",
  };
  try {
    try {
      await link.call(() => streams.add(made));
    } catch (error) {
      if (apiCode(error) !== OTHER_CONFIGURATION) throw error;
      const { config } = await link.call(() => streams.info(name));
      refuseForeign(config, prefix);
      // The client fills in what is there.
      await link.call(() => streams.update(name, wanted));
    }
  } catch (error) {
    if (isUnavailable(error) || (error as Partial<PubSubError>).code === "ERR_PUBSUB_STREAM") {
      throw error;
    }
    if (isJetStreamMissing(error)) throw noStreams(error);
    if (apiCode(error) === undefined) throw unavailable("JetStream didn't answer", error);
    const { message } = error as Error;
    throw new PubSubError(
      "ERR_PUBSUB_STREAM",
      `the stream ${name} can't be like this: ${message}`,
      {
        cause: error,
      },
    );
  }
}

/** A stream of another app, or of another kind, is not taken over. */
const refuseForeign = ({ name, subjects, retention }: StreamConfig, prefix: string) => {
  const foreign = subjects?.find((subject) => !subject.startsWith(`${prefix}.`));
  if (subjects?.length && foreign === undefined && retention === "limits") return;
  throw new PubSubError(
    "ERR_PUBSUB_STREAM",
    foreign === undefined
      ? `there is a stream ${name} with retention ${retention}, which isn't made for this: choose another name`
      : `there is a stream ${name} of others, with the subject ${foreign}: choose another name`,
  );
};
