import type { Message } from "@lanai/pubsub";
import { type Inbox, pushAll } from "@lanai/pubsub/backend";
import type { Msg, Subscription } from "@nats-io/transport-node";
import { unavailable } from "./errors.ts";
import type { Link } from "./link.ts";

interface Wire {
  readonly inboxes: Set<Inbox>;
  readonly subscription: Subscription;
  /** Whether the server has it; asked for again after a lost connection. */
  ready: Promise<void> | undefined;
  refused: Error | undefined;
}

/** Subscriptions of plain subjects: one on the wire for each subject or pattern of this process. */
export class Wires {
  readonly #link: Link;
  readonly #wires = new Map<string, Wire>();
  /** They are answered by `join`. */
  readonly #joining = new Set<Inbox>();
  readonly #messageOf: (message: Msg) => Message;

  constructor(link: Link, messageOf: (message: Msg) => Message) {
    this.#link = link;
    this.#messageOf = messageOf;
  }

  /** Resolves when what is published from now on, by whomever, will come. */
  async join(subject: string, inbox: Inbox): Promise<void> {
    const wire = this.#wires.get(subject) ?? this.#open(subject);
    wire.inboxes.add(inbox);
    this.#joining.add(inbox);
    try {
      await this.#ready(wire);
    } finally {
      this.#joining.delete(inbox);
    }
    if (wire.refused) {
      throw unavailable("NATS refused the subscription: may this user subscribe?", wire.refused);
    }
    live(inbox);
  }

  leave(subject: string, inbox: Inbox): void {
    const wire = this.#wires.get(subject);
    if (!wire?.inboxes.delete(inbox) || wire.inboxes.size > 0) return;
    this.#wires.delete(subject);
    if (!this.#link.hasEnded) wire.subscription.unsubscribe();
  }

  lost(): void {
    for (const wire of this.#wires.values()) {
      wire.ready = undefined;
      for (const inbox of wire.inboxes) inbox.sync();
    }
  }

  /** The client has subscribed again. What was published meanwhile went by. */
  restored(): void {
    for (const wire of this.#wires.values()) {
      for (const inbox of wire.inboxes) {
        inbox.gap("reconnect");
        live(inbox);
      }
    }
  }

  async #ready(wire: Wire): Promise<void> {
    wire.ready ??= this.#link.flush();
    const { ready } = wire;
    try {
      await ready;
    } catch (error) {
      if (wire.ready === ready) wire.ready = undefined;
      throw error;
    }
  }

  #open(subject: string): Wire {
    const inboxes = new Set<Inbox>();
    const subscription = this.#link.connection.subscribe(subject, {
      // What it threw would end the client's reading: for all subscriptions.
      callback: (error, message) => {
        if (error) this.#refuse(subject, wire, error);
        else pushAll(inboxes, this.#messageOf(message));
      },
    });
    const wire: Wire = { inboxes, subscription, ready: undefined, refused: undefined };
    this.#wires.set(subject, wire);
    return wire;
  }

  #refuse(subject: string, wire: Wire, cause: Error): void {
    wire.refused = cause;
    if (this.#wires.get(subject) === wire) this.#wires.delete(subject);
    for (const inbox of [...wire.inboxes]) {
      if (this.#joining.has(inbox)) continue;
      inbox.fail(unavailable("NATS ended the subscription: may this user subscribe?", cause));
    }
  }
}

/** Whatever was held is passed on; what didn't fit has been told as a gap. */
const live = (inbox: Inbox): void => {
  if (!inbox.live()) inbox.live();
};
