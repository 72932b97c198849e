import {
  asLibraryCall,
  type Inbox,
  pushAll,
  SubjectIndex,
  validateCall,
} from "@lanai/pubsub/backend";
import { unavailable } from "../redis/client.ts";
import type { RedisNames } from "../redis/names.ts";
import type { ChannelKind, ChannelListener } from "./subscriber-connection.ts";

/** A subscription that hears a channel. */
export interface ChannelUser {
  readonly inbox: Inbox;
  readonly subject: string;
  /** Called when something that the channel carries may be missing from here on. */
  lost(channel: Channel): void;
  refused(error: Error): void;
}

/** A channel of Redis, up while what is published there comes, and the subscriptions that hear it. */
export abstract class Channel {
  isUp = false;
  /** The inboxes of the users, by their subjects. */
  protected readonly index: SubjectIndex<Inbox> = new SubjectIndex();
  protected readonly users: Set<ChannelUser> = new Set();
  #up = Promise.withResolvers<void>();

  constructor() {
    this.#up.promise.catch(() => {});
  }

  /** Resolves when the channel is up; rejects if Redis doesn't allow it. */
  get up(): Promise<void> {
    return this.#up.promise;
  }

  subscribed(): void {
    this.isUp = true;
    this.#up.resolve();
  }

  lost(): void {
    if (!this.isUp) return;
    this.isUp = false;
    this.#up = Promise.withResolvers();
    this.#up.promise.catch(() => {});
  }

  refused(error: Error): void {
    this.isUp = false;
    this.#up.reject(unavailable(error));
    for (const user of this.users) user.refused(error);
  }

  get isUnused(): boolean {
    return this.users.size === 0;
  }

  add(user: ChannelUser): void {
    this.users.add(user);
    this.index.add(user.subject, user.inbox);
  }

  delete(user: ChannelUser): void {
    this.users.delete(user);
    this.index.delete(user.subject, user.inbox);
  }
}

/**
 * A channel or a pattern by which plain messages come, and the subscriptions here that hear it. A
 * subscription has one for all its life, and so gets a message once, however many patterns match it.
 */
export class PlainChannel extends Channel implements ChannelListener {
  readonly kind: ChannelKind;
  readonly name: string;
  readonly #names: RedisNames;

  constructor(kind: ChannelKind, name: string, names: RedisNames) {
    super();
    this.kind = kind;
    this.name = name;
    this.#names = names;
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
    const inboxes = this.index.match(subject);
    if (inboxes.length === 0 || (this.kind !== "subscribe" && !isSubject(subject))) return;
    pushAll(inboxes, { id: undefined, subject, data, time: Date.now(), replayed: false });
  }

  override lost(): void {
    super.lost();
    for (const user of this.users) user.lost(this);
  }
}

const ANY_CALL = asLibraryCall({});

/** Whether a text can be a subject: anybody may publish to Redis. */
function isSubject(subject: string): boolean {
  try {
    validateCall(subject, "publish", ANY_CALL);
    return true;
  } catch {
    return false;
  }
}
