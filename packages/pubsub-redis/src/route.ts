import { type Inbox, pushAll, SubjectIndex, validateSubject } from "@lanai/pubsub/backend";
import { unavailable } from "./client.ts";
import type { Kind, Listener } from "./link.ts";
import type { Names } from "./names.ts";

/** Who hears of what becomes of a channel. */
export interface Follower {
  readonly inbox: Inbox;
  readonly subject: string;
  /** Something may be missing from here on. */
  lost(from: object): void;
  refused(error: Error): void;
}

/** What can be waited for until a channel is heard. */
export class Wired {
  #wired = Promise.withResolvers<void>();
  isUp = false;

  constructor() {
    this.#wired.promise.catch(() => {});
  }

  get up(): Promise<void> {
    return this.#wired.promise;
  }

  wired(): void {
    this.isUp = true;
    this.#wired.resolve();
  }

  lost(): void {
    if (!this.isUp) return;
    this.isUp = false;
    this.#wired = Promise.withResolvers();
    this.#wired.promise.catch(() => {});
  }

  refused(error: Error): void {
    this.isUp = false;
    this.#wired.reject(unavailable(error));
  }
}

/**
 * A channel or a pattern of Redis, and the subscriptions here that hear plain messages by it. One
 * subscription has one route for all its life, and so gets a message once, by however many of them
 * it comes.
 */
export class Route extends Wired implements Listener {
  readonly kind: Kind;
  readonly name: string;
  readonly #names: Names;
  readonly #index = new SubjectIndex<Inbox>();
  readonly #followers = new Set<Follower>();

  constructor(kind: Kind, name: string, names: Names) {
    super();
    this.kind = kind;
    this.name = name;
    this.#names = names;
  }

  get isUnused(): boolean {
    return this.#followers.size === 0;
  }

  add(follower: Follower): void {
    this.#followers.add(follower);
    this.#index.add(follower.subject, follower.inbox);
  }

  delete(follower: Follower): void {
    this.#followers.delete(follower);
    this.#index.delete(follower.subject, follower.inbox);
  }

  message(channel: string, bytes: Buffer): void {
    let subject: string;
    let data = bytes;
    if (this.kind === "ssubscribe") {
      const end = bytes.indexOf("\n");
      if (end < 0) return;
      subject = bytes.toString("utf8", 0, end);
      data = bytes.subarray(end + 1);
    } else {
      subject = this.#names.subjectOf(channel);
    }
    const inboxes = this.#index.match(subject);
    if (inboxes.length === 0 || (this.kind !== "subscribe" && !isSubject(subject))) return;
    pushAll(inboxes, { id: undefined, subject, data, time: Date.now(), replayed: false });
  }

  override lost(): void {
    super.lost();
    for (const follower of this.#followers) follower.lost(this);
  }

  override refused(error: Error): void {
    super.refused(error);
    for (const follower of this.#followers) follower.refused(error);
  }
}

/** Anybody may publish to Redis. */
const isSubject = (subject: string): boolean => {
  try {
    validateSubject(subject, "publish");
    return true;
  } catch {
    return false;
  }
};
