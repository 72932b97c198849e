import type { Note, NoteSeal, Received } from "@lanai/connection/note-seal";
import type {
  Message,
  PublishOptions,
  PubSub,
  StreamConfig,
  Streams,
  SubscribeOptions,
  Subscription,
} from "@lanai/pubsub";
import { events } from "../events.ts";

/**
 * The library's own subjects on the bus. What is published is a note of this process, and handlers
 * receive only the notes that the seal accepts, this process's own among them.
 */
export class Notes {
  readonly #bus: PubSub & Streams;
  readonly #seal: NoteSeal;

  constructor(bus: PubSub & Streams, seal: NoteSeal) {
    this.#bus = bus;
    this.#seal = seal;
  }

  /** @throws what the bus rejects with. */
  publish(
    subject: string,
    content: Readonly<Record<string, unknown>>,
    options?: PublishOptions,
  ): Promise<void> {
    return this.#bus.publish(subject, this.#seal.write(subject, content), options);
  }

  /** @throws what the bus rejects with. */
  subscribe(
    subject: string,
    handler: (note: Note, message: Message) => void,
    options: SubscribeOptions = {},
  ): Promise<Subscription> {
    const received: Received = new Map();
    const receive = (message: Message): void => {
      const { data } = message;
      const text = typeof data === "string" ? data : Buffer.from(data).toString();
      const opened = this.#seal.read(subject, text, received);
      if (opened.status === "accepted") handler(opened.note, message);
      if (opened.status !== "refused") return;
      const { reason } = opened;
      events.report("refused", reason, { level: "warn", reason });
    };
    return this.#bus.subscribe(subject, receive, { ...options, onError() {} });
  }

  /** @throws what the bus rejects with. */
  ensureStream(config: StreamConfig): Promise<void> {
    return this.#bus.ensureStream(config);
  }
}
