import type { Message } from "@lanai/pubsub";
import type { JsMsg } from "@nats-io/jetstream";
import type { Msg } from "@nats-io/transport-node";

/** Makes what subscribers get of what the server delivers, without the prefix of its subjects. */
export class Messages {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  readonly plain = ({ subject, data }: Msg): Message => ({
    id: undefined,
    subject: this.#subjectOf(subject),
    data,
    time: Date.now(),
    replayed: false,
  });

  readonly stored = (epoch: string, message: JsMsg, replayed: boolean): Message => {
    const { streamSequence, timestampNanos } = message.info;
    const time = Math.floor(timestampNanos / 1e6);
    return {
      id: cursorOf(epoch, streamSequence, time),
      subject: this.#subjectOf(message.subject),
      data: message.data,
      time,
      replayed,
    };
  };

  #subjectOf(wire: string): string {
    const subject = wire.slice(this.#prefix.length);
    return subject.startsWith(".") ? subject.slice(1) : subject;
  }
}

/**
 * Returns the cursor of a position in a stream. The time at which its message was stored distinguishes
 * it from another message at that position, in a stream which was restored from before it.
 */
export function cursorOf(epoch: string, position: number, time?: number): string {
  return `${epoch}:${time === undefined ? "" : `${time}-`}${position}`;
}
