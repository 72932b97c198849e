import type { Id } from "../id-generator.ts";
import { isPromise } from "../manager/call-store.ts";
import type { Awaitable, Change, CommitResult, Key, SessionRecord, Store } from "../store.ts";
import { type Changes, changed } from "../stores/changed.ts";
import { commitsAtOnce } from "../stores/commits-at-once.ts";
import { keyOf } from "../stores/session-key.ts";
import type { Access } from "./access.ts";
import { PERSIST } from "./draft.ts";
import { EndCall } from "./end-call.ts";

/** Whoever acts by a session of another user, as their own session says. */
export interface FoundImpersonator {
  readonly userId: string;
  readonly publicId: string;
  readonly key: Key;
  readonly authenticatedAt: number;
  readonly methods: readonly string[];
}

export interface LoadedRecord {
  readonly id: Id | undefined;
  readonly key: Key;
  readonly record: SessionRecord;
}

/** A session whose record can't be read. It can be ended, and nothing else. */
export class DamagedSession {
  /** The reason why it can't be read: `ERR_SESSION_DECODE`. */
  readonly error: unknown;
  readonly #key: Key;
  readonly #access: Access;
  #end: EndCall | undefined = undefined;

  constructor(access: Access, key: Key, error: unknown) {
    this.#access = access;
    this.#key = key;
    this.error = error;
  }

  /** Returns the call that ends the session: the same each time, so that the next is a repeat. */
  end(): EndCall {
    this.#end ??= new EndCall(this.#access, this.#key);
    return this.#end;
  }
}

type CommitArguments = [
  change: Changes,
  renewTo: Id | undefined,
  isLast: boolean,
  onLate: (() => void) | undefined,
];
type ApplyArguments = [change: Changes, renewTo: Id | undefined, isLast: boolean];

/** The key under which a store keeps the session with an id. */
export const keyFor = (store: Store, id: Id): Key => (store.carriesData ? id : keyOf(id));

/**
 * A session in the store, as one request knows it: its id, its key, its record, and the store's
 * clock.
 *
 * - The record is the store's last result and the changes saved since.
 * - It never holds a key or a record that this request didn't load or create itself (S19).
 * - Commits go one at a time: each goes on from what the one before it has left.
 * - After the store has returned `gone`, every commit returns `gone`.
 */
export class StoredSession {
  record: SessionRecord;
  /** Whether the idle time is to be extended though nothing was written. */
  isTouchDue = false;
  /** Who acts by it, if its user doesn't. */
  impersonator: FoundImpersonator | undefined = undefined;
  /** The number of calls for everyone that had begun before: none of them is known to have ended it. */
  readonly loadedAfter: number;
  /** Private, as the key is, so that inspecting a context doesn't show it. */
  #id: Id | undefined;
  #key: Key;
  readonly #access: Access;
  /** Milliseconds by which the store's clock is ahead of this process's. */
  readonly #ahead: number;
  #isGone = false;
  #inFlight: Promise<CommitResult> | undefined = undefined;
  #end: EndCall | undefined = undefined;

  constructor(access: Access, { id, key, record }: LoadedRecord, ahead: number) {
    this.#access = access;
    this.#id = id;
    this.#key = key;
    this.record = record;
    this.#ahead = ahead;
    this.loadedAfter = access.ownEnds.begun;
  }

  /** `undefined` if somebody else has renewed the session: the client was sent another. */
  get id(): Id | undefined {
    return this.#id;
  }

  get publicId(): string {
    return this.record.publicId;
  }

  get key(): Key {
    return this.#key;
  }

  /** The time on the store's clock. */
  get now(): number {
    return Date.now() + this.#ahead;
  }

  get persists(): boolean {
    return this.record.values.has(PERSIST);
  }

  /**
   * The idle time, in milliseconds, of a client that was asked to stay signed in; it keeps the id
   * so long.
   */
  get maxAge(): number | undefined {
    if (!this.persists) return undefined;
    const { idle, startedAt, absolute, seenAt } = this.record;
    return Math.min(idle, startedAt + absolute - seenAt);
  }

  /**
   * @param renewTo - The new id, if the commit renews the session.
   * @param isLast - Nobody will read the record afterwards, unless the id is sent to the client.
   * @param onLate - Called if the store's result arrives after the call has failed.
   */
  commit(
    change: Changes,
    renewTo?: Id,
    isLast = false,
    onLate?: () => void,
  ): Awaitable<CommitResult> {
    const before = this.#inFlight;
    const result =
      before === undefined
        ? this.#commitNow(change, renewTo, isLast, onLate)
        : this.#commitNext(before, change, renewTo, isLast, onLate);
    if (isPromise(result)) this.#flies(result);
    return result;
  }

  /** Commits after the commit that is under way, however that ends. */
  async #commitNext(before: Promise<unknown>, ...args: CommitArguments): Promise<CommitResult> {
    await before.catch(() => {});
    return this.#commitNow(...args);
  }

  #flies(result: Promise<CommitResult>): void {
    this.#inFlight = result;
    const done = (): void => {
      if (this.#inFlight === result) this.#inFlight = undefined;
    };
    result.then(done, done);
  }

  #commitNow(
    change: Changes,
    renewTo: Id | undefined,
    isLast: boolean,
    onLate: (() => void) | undefined,
  ): Awaitable<CommitResult> {
    if (this.#isGone) return { status: "gone" };
    const { store } = this.#access;
    const operation = commitsAtOnce.has(store.commit) ? "" : this.#access.operation();
    const named: Change = { ...change, operation, publicId: this.publicId };
    const sent = renewTo === undefined ? named : { ...named, renewTo: keyOf(renewTo) };
    const result = this.#access.commit(this.#key, sent, onLate);
    return isPromise(result)
      ? this.#applyLater(result, change, renewTo, isLast)
      : this.#apply(result, change, renewTo, isLast);
  }

  async #applyLater(result: Promise<CommitResult>, ...args: ApplyArguments): Promise<CommitResult> {
    return this.#apply(await result, ...args);
  }

  #apply(
    result: CommitResult,
    change: Changes,
    renewTo: Id | undefined,
    isLast: boolean,
  ): CommitResult {
    if (result.status === "gone") this.#isGone = true;
    else if (result.status === "conflict") this.record = result.record;
    else if (result.status === "saved") {
      const carriesData = this.#access.store.carriesData !== undefined;
      const isRenewal = renewTo !== undefined || carriesData;
      if (isRenewal) {
        this.#key = result.key;
        this.#id = carriesData ? result.key : renewTo;
      } else if (result.renewed) {
        // The client was sent a newer id, which this one must not replace.
        this.#id = undefined;
      }
      this.isTouchDue = false;
      const isRead = !isLast || isRenewal || this.persists || change.idle !== undefined;
      if (isRead) this.record = changed(this.record, change, this.now);
    }
    return result;
  }

  /** Loads the session again. */
  async reload(): Promise<"live" | "renewed" | "gone"> {
    const { callStore, store } = this.#access;
    const loaded = await callStore(() => store.load(this.#key));
    if (loaded.status === "live") this.record = loaded.record;
    if (loaded.status === "none") this.#isGone = true;
    return loaded.status === "none" ? "gone" : loaded.status;
  }

  /**
   * Returns the call that ends the session, or its successor: the same each time, so that the next is a
   * repeat. Every later commit returns `gone`.
   *
   * @param former - A call of another request that has failed, of which this one is to be a repeat.
   */
  end(former?: EndCall): EndCall {
    this.#isGone = true;
    this.#end ??= former ?? new EndCall(this.#access, this.#key);
    return this.#end;
  }
}
