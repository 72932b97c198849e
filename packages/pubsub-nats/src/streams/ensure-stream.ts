import { PubSubError } from "@lanai/pubsub";
import type { StreamSettings } from "@lanai/pubsub/backend";
import type { JetStreamManager, StreamConfig } from "@nats-io/jetstream";
import type { MonitoredConnection } from "../connection/monitored-connection.ts";
import {
  apiCode,
  isJetStreamMissing,
  isStreamMissing,
  isUnavailable,
  noStreams,
  unavailable,
} from "../errors.ts";
import type { Settings } from "../options.ts";
import { isOurs, wireOf } from "./wire.ts";

/** The time during which the server recognises a message's id, in nanoseconds: two minutes. */
const DUPLICATE_WINDOW = 120_000_000_000;
/** JetStream: there is a stream of this name, with another configuration. */
const OTHER_CONFIGURATION = 10058;
/** JetStream: another stream has one of the subjects. */
const OVERLAP = 10065;

/**
 * Makes the stream, or changes its subjects and limits and nothing else.
 *
 * @throws PubSubError `ERR_PUBSUB_STREAM` with what the server says against it,
 *   `ERR_PUBSUB_NO_STREAMS`, `ERR_PUBSUB_UNAVAILABLE`.
 */
export async function ensureStream(
  nats: MonitoredConnection,
  { streams }: JetStreamManager,
  { prefix, storage, replicas }: Settings,
  { name, subjects, maxMsgs, maxAge }: StreamSettings,
): Promise<void> {
  const max_age = maxAge === Infinity ? 0 : maxAge * 1_000_000;
  const wanted = {
    subjects: subjects.map((subject) => wireOf(prefix, subject)),
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
      await nats.call(() => streams.add(made));
    } catch (error) {
      const code = apiCode(error);
      if (code !== OTHER_CONFIGURATION && code !== OVERLAP) throw error;
      const { config } = await nats
        .call(() => streams.info(name))
        .catch((missing: unknown) => {
          // If another process makes this stream at the same moment, the server may call it another one
          // that has the subjects. Only if there is none of this name is it another one.
          throw code === OVERLAP && isStreamMissing(missing) ? error : missing;
        });
      refuseForeign(config, prefix);
      // The client fills in what is there.
      await nats.call(() => streams.update(name, wanted));
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
function refuseForeign({ name, subjects, retention }: StreamConfig, prefix: string) {
  const foreign = subjects?.find((subject) => !isOurs(prefix, subject));
  if (subjects?.length && foreign === undefined && retention === "limits") return;
  throw new PubSubError(
    "ERR_PUBSUB_STREAM",
    foreign === undefined
      ? `there is a stream ${name} with retention ${retention}, which isn't made for this: choose another name`
      : `there is a stream ${name} of others, with the subject ${foreign}: choose another name`,
  );
}
