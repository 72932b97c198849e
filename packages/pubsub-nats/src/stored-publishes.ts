import type { PubSubError } from "@lanai/pubsub";
import { createInbox, headers, type Msg, type Subscription } from "@nats-io/transport-node";
import { unavailable } from "./errors.ts";
import type { Link } from "./link.ts";

/** Bytes that wait for the server's word at most, and what each message counts beside its own. */
const MAX_WAITING = 64 * 2 ** 20;
const OVERHEAD = 256;
/** Before a message is sent again that found no stream behind its subject yet. */
const RETRY_DELAY = 50;

interface Waiting {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly id: string;
  readonly deadline: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Publishes on retained subjects. Each waits for the server's word that it is stored, and is sent
 * again when a lost connection is back, in order: its id lets the server store it once.
 */
export class StoredPublishes {
  readonly #link: Link;
  readonly #inbox: string;
  readonly #answers: Subscription;
  /** By number, in the order of the publishes. */
  readonly #waiting = new Map<number, Waiting>();
  #bytes = 0;
  #count = 0;
  #sweep: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #idle: (() => void)[] = [];

  constructor(link: Link, inboxPrefix: string) {
    this.#link = link;
    this.#inbox = createInbox(inboxPrefix);
    this.#answers = link.connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => this.#answered(error, message),
    });
  }

  /** @throws what speaks against sending it at all. */
  publish(subject: string, data: Uint8Array, messageId: string | undefined): Promise<void> {
    if (this.#link.hasEnded) throw this.#link.reason();
    if (this.#bytes + data.length + OVERHEAD > MAX_WAITING) {
      throw unavailable("too many publishes wait for the NATS server to store them: await them");
    }
    const number = this.#count + 1;
    const id = messageId ?? `${this.#inbox}.${number}`;
    const deadline = Date.now() + this.#link.timeout;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting: Waiting = { subject, data, id, deadline, resolve, reject };
    if (this.#link.isUp) this.#send(number, waiting);
    this.#count = number;
    this.#waiting.set(number, waiting);
    this.#bytes += data.length + OVERHEAD;
    this.#sweep ??= setTimeout(this.#expire, this.#link.timeout);
    return promise;
  }

  /** The connection is back: what had no answer may not have been stored. */
  resend(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    for (const [number, waiting] of this.#waiting) {
      try {
        this.#send(number, waiting);
      } catch (error) {
        this.#take(number)?.reject(error);
      }
    }
  }

  failAll(error: PubSubError): void {
    for (const number of [...this.#waiting.keys()]) this.#take(number)?.reject(error);
  }

  /** Resolves when nothing waits any more. */
  settled(): Promise<void> {
    if (this.#waiting.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  stop(): void {
    clearTimeout(this.#retry);
    clearTimeout(this.#sweep);
    if (!this.#link.hasEnded) this.#answers.unsubscribe();
  }

  #send(number: number, { subject, data, id }: Waiting): void {
    const sent = headers();
    sent.set("Nats-Msg-Id", id);
    this.#link.connection.publish(subject, data, {
      headers: sent,
      reply: `${this.#inbox}.${number}`,
    });
  }

  #answered(error: Error | null, message: Msg): void {
    if (error) this.failAll(unavailable("the answers of JetStream may not be received", error));
    else if (message.data.length === 0) this.#later();
    else {
      const number = Number(message.subject.slice(this.#inbox.length + 1));
      const failure = failureOf(message);
      const waiting = this.#take(number);
      if (failure === undefined) waiting?.resolve();
      else waiting?.reject(unavailable(`JetStream didn't store the message: ${failure}`));
    }
  }

  /** Nobody answers for the stream: the server has just started, or elects who does. */
  #later(): void {
    this.#retry ??= setTimeout(() => this.resend(), RETRY_DELAY);
  }

  #take(number: number): Waiting | undefined {
    const waiting = this.#waiting.get(number);
    if (!waiting) return undefined;
    this.#waiting.delete(number);
    this.#bytes -= waiting.data.length + OVERHEAD;
    if (this.#waiting.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
    return waiting;
  }

  readonly #expire = (): void => {
    this.#sweep = undefined;
    const now = Date.now();
    for (const [number, { deadline }] of this.#waiting) {
      if (deadline > now) {
        this.#sweep = setTimeout(this.#expire, deadline - now);
        return;
      }
      this.#take(number)?.reject(
        unavailable("the NATS server didn't say in time that the message is stored: it may be"),
      );
    }
  };
}

const failureOf = (message: Msg): string | undefined => {
  try {
    return message.json<{ error?: { description: string } }>().error?.description;
  } catch {
    return "the answer isn't one of JetStream";
  }
};
