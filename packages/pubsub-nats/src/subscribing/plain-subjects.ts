import type { Message } from "@lanai/pubsub";
import { type Inbox, pushAll } from "@lanai/pubsub/backend";
import type { Msg, Subscription } from "@nats-io/transport-node";
import type { MonitoredConnection } from "../connection/monitored-connection.ts";
import { unavailable } from "../errors.ts";
import { publishOf } from "../publishing/publish-id.ts";

/** Publishers whose last publish is remembered for each subject, at most. */
const MAX_PUBLISHERS = 1_000;

/** One subscription of the connection, which serves all of this process's to that subject. */
interface ServerSubscription {
  readonly inboxes: Set<Inbox>;
  readonly subscription: Subscription;
  /** Resolves when the server has it; `undefined` if that has to be asked again. */
  ready: Promise<void> | undefined;
  refused: Error | undefined;
  /** The number of the last message of each publisher on retained subjects. */
  readonly heard: Map<string, number>;
}

/** The subscriptions to subjects that no stream retains: one on the wire for each of a process. */
export class PlainSubjects {
  readonly #nats: MonitoredConnection;
  readonly #subjects = new Map<string, ServerSubscription>();
  /** `join` rejects for these; for all others a refusal ends the subscription. */
  readonly #joining = new Set<Inbox>();
  readonly #messageOf: (message: Msg) => Message;
  /** The number of times that the server refused a subscription because there were too many. */
  #overLimit = 0;

  constructor(nats: MonitoredConnection, messageOf: (message: Msg) => Message) {
    this.#nats = nats;
    this.#messageOf = messageOf;
  }

  /** Resolves when everything that is published from now on, by anyone, is delivered. */
  async join(subject: string, inbox: Inbox): Promise<void> {
    const shared = this.#subjects.get(subject) ?? this.#open(subject);
    const overLimit = this.#overLimit;
    shared.inboxes.add(inbox);
    this.#joining.add(inbox);
    try {
      await this.#ready(shared);
      // The server's refusal arrives before its reply to the flush, by another iterator.
      await new Promise(setImmediate);
    } finally {
      this.#joining.delete(inbox);
    }
    if (overLimit !== this.#overLimit) {
      this.leave(subject, inbox);
      throw unavailable("the NATS server allows this connection no more subscriptions");
    }
    if (shared.refused) {
      throw unavailable("NATS refused the subscription: may this user subscribe?", shared.refused);
    }
    goLive(inbox);
  }

  leave(subject: string, inbox: Inbox): void {
    const shared = this.#subjects.get(subject);
    if (!shared?.inboxes.delete(inbox) || shared.inboxes.size > 0) return;
    this.#subjects.delete(subject);
    if (!this.#nats.hasEnded) shared.subscription.unsubscribe();
  }

  lost(): void {
    for (const shared of this.#subjects.values()) {
      shared.ready = undefined;
      for (const inbox of shared.inboxes) inbox.sync();
    }
  }

  /** The client has subscribed again. What was published meanwhile is lost. */
  restored(): void {
    for (const shared of this.#subjects.values()) {
      for (const inbox of shared.inboxes) {
        inbox.gap("reconnect");
        goLive(inbox);
      }
    }
  }

  /**
   * Called when the server has refused a subscription because the connection has too many. The server
   * doesn't say which one, so all candidates are ended: none stays open without receiving anything.
   */
  overLimit(cause: Error): void {
    this.#overLimit += 1;
    if (this.#joining.size > 0) return;
    const error = unavailable(
      "the NATS server allows this connection no more subscriptions",
      cause,
    );
    for (const { inboxes } of this.#subjects.values()) {
      for (const inbox of [...inboxes]) inbox.fail(error);
    }
  }

  async #ready(shared: ServerSubscription): Promise<void> {
    shared.ready ??= this.#nats.flush();
    const { ready } = shared;
    try {
      await ready;
    } catch (error) {
      if (shared.ready === ready) shared.ready = undefined;
      throw error;
    }
  }

  #open(subject: string): ServerSubscription {
    const inboxes = new Set<Inbox>();
    const subscription = this.#nats.connection.subscribe(subject, {
      // An exception here would end the client's reading, for all subscriptions.
      callback: (error, message) => {
        if (error) this.#refuse(subject, shared, error);
        else if (isNew(shared, message)) pushAll(inboxes, this.#messageOf(message));
      },
    });
    const shared: ServerSubscription = {
      inboxes,
      subscription,
      ready: undefined,
      refused: undefined,
      heard: new Map(),
    };
    this.#subjects.set(subject, shared);
    return shared;
  }

  #refuse(subject: string, shared: ServerSubscription, cause: Error): void {
    shared.refused = cause;
    if (this.#subjects.get(subject) === shared) this.#subjects.delete(subject);
    for (const inbox of [...shared.inboxes]) {
      if (this.#joining.has(inbox)) continue;
      inbox.fail(unavailable("NATS ended the subscription: may this user subscribe?", cause));
    }
  }
}

/**
 * Whether a message is heard for the first time. A publish on a retained subject is sent again after
 * an outage; the stream drops the repeat, and a plain subscription that covers more has to do so too.
 */
function isNew({ heard }: ServerSubscription, message: Msg): boolean {
  const publish = publishOf(message);
  if (publish === undefined) return true;
  const { publisher, number, isRepeat } = publish;
  const last = heard.get(publisher) ?? 0;
  if (isRepeat && number <= last) return false;
  heard.delete(publisher);
  heard.set(publisher, Math.max(last, number));
  if (heard.size > MAX_PUBLISHERS) {
    const [oldest] = heard.keys();
    heard.delete(oldest as string);
  }
  return true;
}

/** Lets held messages through. What could not be held is reported as a gap. */
function goLive(inbox: Inbox): void {
  if (!inbox.live()) inbox.live();
}
