import { after, type Cancel } from "@lanai/connection/deadline";
import type { PubSubError } from "@lanai/pubsub";
import { createInbox, type Msg, type Subscription } from "@nats-io/transport-node";
import type { MonitoredConnection } from "../connection/monitored-connection.ts";
import { afterSending, outcomeUnknown, unavailable } from "../errors.ts";
import type { KnownStream, StreamTable } from "../streams/stream-table.ts";
import { headersOf } from "./publish-id.ts";

/** Bytes that wait for the server's acknowledgement, at most, and what each message adds to its own. */
const MAX_WAITING = 64 * 2 ** 20;
const OVERHEAD = 256;
/** Before a message is sent again that found no stream behind its subject, in milliseconds. */
const RETRY_DELAY = 50;

interface WaitingPublish {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly messageId: string | undefined;
  readonly deadline: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  state: /** Not sent, or refused by a server that has no stream for it: certainly not stored. */
    | { readonly is: "unsent" }
    /** Under way to a stream: a reply is due. */
    | Sent
    /** The connection was lost before the reply: stored or not. */
    | (Omit<Sent, "is"> & { readonly is: "uncertain" });
}

interface Sent {
  readonly is: "sent";
  /** When it was sent first, by `performance.now()`. */
  readonly at: number;
  readonly stream: KnownStream | undefined;
}

/**
 * Publishes on retained subjects, in order. Each waits for the server's acknowledgement that it is
 * stored.
 *
 * - *Order*: publishes are sent ahead without waiting, until one can't be stored or the connection is
 *   lost. From then on nothing is sent until it is known what became of those under way; then the
 *   oldest is sent alone, and the others when it is stored. One that others have overtaken is given
 *   up: it is never stored after them.
 * - *At most once*: what may be stored is sent again only to the same stream, while that knows its id.
 */
export class StoredPublishes {
  readonly #nats: MonitoredConnection;
  readonly #table: StreamTable;
  /** Prefix of the subjects that acknowledgements arrive on, and the name of this publisher. */
  readonly #inbox: string;
  readonly #acknowledgements: Subscription;
  /** The publishes by number, in the order of the publishes. */
  readonly #waiting = new Map<number, WaitingPublish>();
  /** The number of publishes that wait, for each subject. */
  readonly #subjects = new Map<string, number>();
  /** The last number that each stream has stored. */
  readonly #stored = new Map<string, number>();
  #bytes = 0;
  #count = 0;
  /**
   * - `open`: each publish is sent at once.
   * - `held`: nothing is sent; settled when the connection is back or the time has come.
   * - `trying`: the oldest is under way, alone.
   */
  #mode: "open" | "held" | "trying" = "open";
  #cancelDeadline: Cancel | undefined;
  #retry: NodeJS.Timeout | undefined;
  #idle: (() => void)[] = [];

  constructor(nats: MonitoredConnection, table: StreamTable, inboxPrefix: string) {
    this.#nats = nats;
    this.#table = table;
    this.#inbox = createInbox(inboxPrefix);
    this.#acknowledgements = nats.connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => this.#acknowledged(error, message),
    });
  }

  /** Whether a publish on this subject waits: a later one must not overtake it. */
  holds(subject: string): boolean {
    return this.#subjects.has(subject);
  }

  /** @throws if it can't be sent at all. */
  publish(subject: string, data: Uint8Array, messageId: string | undefined): Promise<void> {
    if (this.#nats.hasEnded) throw this.#nats.reason();
    if (this.#bytes + data.length + OVERHEAD > MAX_WAITING) {
      throw unavailable("too many publishes wait for the NATS server to store them: await them");
    }
    const number = this.#count + 1;
    const deadline = performance.now() + this.#nats.timeout;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const state = { is: "unsent" } as const;
    const waiting: WaitingPublish = { subject, data, messageId, deadline, resolve, reject, state };
    if (this.#mode === "open" && this.#nats.isUp) this.#send(number, waiting);
    this.#count = number;
    this.#waiting.set(number, waiting);
    this.#subjects.set(subject, (this.#subjects.get(subject) ?? 0) + 1);
    this.#bytes += data.length + OVERHEAD;
    this.#cancelDeadline ??= after(this.#nats.timeout, this.#expire);
    return promise;
  }

  lost(): void {
    this.#mode = "held";
    for (const waiting of this.#waiting.values()) {
      if (waiting.state.is === "sent") waiting.state = { ...waiting.state, is: "uncertain" };
    }
  }

  /** The connection is back. What goes where depends on which streams there are now. */
  restored(): void {
    this.#reload();
  }

  /** The streams have changed. What no stream retains any more has been handed over as it is. */
  revise(): void {
    if (this.#waiting.size === 0 || !this.#nats.isUp) return;
    const sent = [...this.#waiting].filter(
      ([, { state, subject }]) => state.is === "sent" && !this.#table.find(subject),
    );
    if (sent.length === 0) return;
    const handedOver = () => {
      for (const [number] of sent) this.#take(number)?.resolve();
      this.#settle();
    };
    // If the connection is lost first, they are settled as uncertain ones.
    this.#nats.flush().then(handedOver, () => undefined);
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
    this.#cancelDeadline?.();
    if (!this.#nats.hasEnded) this.#acknowledgements.unsubscribe();
  }

  #send(number: number, waiting: WaitingPublish): void {
    const { subject, data, messageId, state } = waiting;
    const isRepeat = state.is === "uncertain";
    this.#nats.connection.publish(subject, data, {
      headers: headersOf({ publisher: this.#inbox, number, isRepeat }, messageId),
      reply: `${this.#inbox}.${number}`,
    });
    const at = isRepeat ? state.at : performance.now();
    waiting.state = { is: "sent", at, stream: this.#table.find(subject) };
  }

  #acknowledged(error: Error | null, message: Msg): void {
    if (error) {
      this.failAll(outcomeUnknown("JetStream's replies may not be received", error));
      return;
    }
    const number = Number(message.subject.slice(this.#inbox.length + 1));
    if (message.data.length === 0) {
      this.#refused(number);
      return;
    }
    const { failure, stream } = replyOf(message);
    const waiting = this.#take(number);
    if (stream !== undefined) {
      this.#stored.set(stream, Math.max(number, this.#stored.get(stream) ?? 0));
    }
    if (failure === undefined) waiting?.resolve();
    else waiting?.reject(unavailable(`JetStream didn't store the message: ${failure}`));
    if (this.#mode !== "open") this.#settle();
  }

  /** Nothing takes the subject: the server has just started, elects a leader, or lost the stream. */
  #refused(number: number): void {
    const waiting = this.#waiting.get(number);
    if (!waiting) return;
    waiting.state = { is: "unsent" };
    this.#mode = "held";
    this.#table.expire();
    this.#retry ??= setTimeout(this.#reload, RETRY_DELAY);
  }

  readonly #reload = (): void => {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#table.load().then(
      () => this.#settle(),
      () => {
        if (this.#nats.isUp) this.#retry ??= setTimeout(this.#reload, RETRY_DELAY);
      },
    );
  };

  /** Goes on when it is known what became of everything under way. */
  #settle(): void {
    if (this.#mode === "open" || !this.#nats.isUp) return;
    for (const [number, { state }] of this.#waiting) {
      if (state.is !== "sent") continue;
      // Acknowledgements of one stream come in order: for this one there won't be any.
      if ((this.#stored.get(state.stream?.name ?? "") ?? 0) < number) return;
      this.#take(number)?.reject(
        outcomeUnknown("the stream didn't take the message, but later ones"),
      );
    }
    if (this.#mode === "trying") this.#sendAll();
    else if (this.#retry === undefined) this.#sendOldest();
  }

  #sendOldest(): void {
    for (const [number, waiting] of this.#waiting) {
      this.#mode = "trying";
      if (this.#sendNow(number, waiting)) return;
    }
    this.#mode = "open";
  }

  #sendAll(): void {
    this.#mode = "open";
    for (const [number, waiting] of this.#waiting) this.#sendNow(number, waiting);
  }

  /** Sends a message that has waited, or gives it up. Resolves to whether a reply is due. */
  #sendNow(number: number, waiting: WaitingPublish): boolean {
    const { subject, data, state } = waiting;
    const stream = this.#table.find(subject);
    const isOvertaken = stream !== undefined && (this.#stored.get(stream.name) ?? 0) > number;
    try {
      if (state.is === "uncertain" && (isOvertaken || !mayRepeat(state, stream))) {
        throw outcomeUnknown("the connection was lost before JetStream acknowledged the message");
      }
      if (isOvertaken) {
        throw unavailable("the message was not stored, but later ones were: its stream was lost");
      }
      if (stream !== undefined) {
        this.#send(number, waiting);
        return true;
      }
      this.#nats.connection.publish(subject, data);
      this.#take(number);
      const { resolve, reject } = waiting;
      this.#nats.flush().then(resolve, (error: unknown) => reject(afterSending(error)));
    } catch (error) {
      this.#take(number)?.reject(unavailable("the message could not be sent", error));
    }
    return false;
  }

  #take(number: number): WaitingPublish | undefined {
    const waiting = this.#waiting.get(number);
    if (!waiting) return undefined;
    const { subject, data } = waiting;
    this.#waiting.delete(number);
    const left = (this.#subjects.get(subject) ?? 1) - 1;
    if (left > 0) this.#subjects.set(subject, left);
    else this.#subjects.delete(subject);
    this.#bytes -= data.length + OVERHEAD;
    if (this.#waiting.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
    return waiting;
  }

  readonly #expire = (): void => {
    this.#cancelDeadline = undefined;
    const now = performance.now();
    for (const [number, { deadline, state }] of this.#waiting) {
      if (deadline > now) {
        this.#cancelDeadline = after(deadline - now, this.#expire);
        break;
      }
      this.#take(number)?.reject(
        state.is === "unsent"
          ? unavailable("the message was not stored: no stream took it in time")
          : outcomeUnknown("the NATS server didn't acknowledge the message in time"),
      );
    }
    if (this.#mode !== "open") this.#settle();
  };
}

/** Whether the stream is still the one that it was sent to, and knows it if it is stored there. */
const mayRepeat = (sent: Pick<Sent, "at" | "stream">, stream: KnownStream | undefined): boolean =>
  stream !== undefined &&
  stream.epoch === sent.stream?.epoch &&
  // Half of the time: the repeat has to arrive within the window, too.
  performance.now() - sent.at < stream.duplicateWindow / 2;

/** Reads JetStream's reply to a publish: the stream that has stored it, or why none has. */
function replyOf(message: Msg): { failure?: string; stream?: string } {
  try {
    const { error, stream } = message.json<{ error?: { description: string }; stream?: string }>();
    if (error) return { failure: error.description };
    return typeof stream === "string"
      ? { stream }
      : { failure: "the reply isn't one of JetStream" };
  } catch {
    return { failure: "the reply isn't one of JetStream" };
  }
}
