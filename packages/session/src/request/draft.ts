import type { SessionRecord } from "../store.ts";
import type { Changes } from "../stores/changed.ts";
import { checkKey, decode, encode } from "./codec.ts";

/** An owner, or a function that makes one of the public id, which a new session gets when it is stored. */
export type Owner = string | ((publicId: string) => string);

/** The durations of a new session or of a sign-in, in milliseconds. */
export interface Timeouts {
  readonly idleTimeout: number;
  readonly absoluteTimeout: number;
}

/** A value, and the text that it had when it was written or decoded. */
interface Encoded {
  readonly value: unknown;
  readonly text: string;
}

/** The reason why a session gets a new id. */
export type Renewal = "renewId" | "login" | "reauthenticate";

/** The changes that a commit takes from the draft. */
export interface Sent {
  readonly pending: ReadonlyMap<string, Encoded | undefined> | undefined;
  readonly owners: ReadonlySet<Owner> | undefined;
  readonly renewal: Renewal | undefined;
  readonly persist: number | undefined;
}

/** The entry that names the user. */
export const USER = "s:user";
/** The entry that names the kind of token to which the session belongs. */
export const BELONGS_TO = "s:tracker";
/** The entry of a session that outlives the browser: its idle time in milliseconds. */
export const PERSIST = "s:persist";

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null;

/**
 * The changes that a request has made and that are not stored yet: set, deleted, or changed in
 * place.
 *
 * A pure function of the record that it is given and of the calls: it does no I/O, and knows
 * neither a context nor a clock. A name is either pending (set or deleted, `undefined`) or watched
 * (decoded for the app, which may change the object in place), never both.
 */
export class Draft {
  /** Whether the session gets a new id, and why. */
  renewal: Renewal | undefined = undefined;
  /** The absolute timeout of a new session, in milliseconds, if it is another than the manager's. */
  absoluteTimeout: number | undefined = undefined;
  #persist: number | undefined = undefined;
  #pending: Map<string, Encoded | undefined> | undefined = undefined;
  #watched: Map<string, Encoded> | undefined = undefined;
  #owners: Set<Owner> | undefined = undefined;

  // ── reading ──

  read(name: string, record: SessionRecord | undefined): unknown {
    const pending = this.#pending?.get(name);
    if (pending !== undefined) return pending.value;
    if (this.isPending(name)) return undefined;
    const text = record?.values.get(name);
    return text === undefined ? undefined : this.#readStored(name, text);
  }

  /** The value of a stored text; the same object each time, which is watched for changes in place. */
  #readStored(name: string, text: string): unknown {
    const watched = this.#watched?.get(name);
    if (watched !== undefined) return watched.value;
    const value = decode(text, name);
    if (isObject(value)) this.#watch(name, { value, text });
    return value;
  }

  has(name: string, record: SessionRecord | undefined): boolean {
    if (this.isPending(name)) return this.#pending?.get(name) !== undefined;
    return record?.values.has(name) ?? false;
  }

  /** The names of the entries that begin with `prefix`, sorted. */
  names(prefix: string, record: SessionRecord | undefined): string[] {
    const names = new Set(record?.values.keys());
    for (const [name, encoded] of this.#pending ?? []) {
      if (encoded === undefined) names.delete(name);
      else names.add(name);
    }
    return [...names].filter((name) => name.startsWith(prefix)).sort();
  }

  isPending(name: string): boolean {
    return this.#pending?.has(name) ?? false;
  }

  /** Whether a name is pending in just this way: a test that nobody has set or deleted it since. */
  isStill(name: string, encoded: Encoded | undefined): boolean {
    return this.#pending?.get(name) === encoded;
  }

  pending(name: string): Encoded | undefined {
    return this.#pending?.get(name);
  }

  /** The text that a name will be stored with. */
  text(name: string, record: SessionRecord | undefined): string | undefined {
    if (!this.isPending(name)) return record?.values.get(name);
    const pending = this.#pending?.get(name);
    return pending && encode(pending.value, name);
  }

  /** The owners that were added, except those that need a public id if there is none yet. */
  owners(publicId: string | undefined): string[] {
    const owners: string[] = [];
    for (const owner of this.#owners ?? []) {
      if (typeof owner === "string") {
        owners.push(owner);
      } else if (publicId !== undefined) {
        const made = owner(publicId);
        checkKey(made);
        owners.push(made);
      }
    }
    return owners;
  }

  // ── changing ──

  /** Sets an entry. Encodes it at once, so that what can't be stored throws where it was written. */
  set(name: string, value: unknown): void {
    this.put(name, { value, text: encode(value, name) });
  }

  delete(name: string): void {
    this.put(name, undefined);
  }

  put(name: string, encoded: Encoded | undefined): void {
    this.#pending ??= new Map();
    this.#pending.set(name, encoded);
    this.#watched?.delete(name);
  }

  /** Takes out what is pending of these names; they are pending as deleted until the pop is done. */
  take(names: readonly string[]): Map<string, Encoded> {
    const taken = new Map<string, Encoded>();
    for (const name of names) {
      const pending = this.#pending?.get(name);
      if (pending === undefined) continue;
      taken.set(name, pending);
      this.put(name, undefined);
    }
    return taken;
  }

  /** The pop of these is done. */
  forget(taken: ReadonlyMap<string, Encoded>): void {
    for (const name of taken.keys()) if (this.isStill(name, undefined)) this.withdraw(name);
  }

  /** The pop of these has failed. */
  giveBack(taken: ReadonlyMap<string, Encoded>): void {
    for (const [name, encoded] of taken) if (this.isStill(name, undefined)) this.put(name, encoded);
  }

  /** Takes a name back out of what is to be stored. */
  withdraw(name: string): void {
    this.#pending?.delete(name);
  }

  forgetWatched(name: string): void {
    this.#watched?.delete(name);
  }

  persist(duration: number): void {
    this.#persist = duration;
    this.set(PERSIST, duration);
  }

  addOwner(owner: Owner): void {
    this.#owners ??= new Set();
    this.#owners.add(owner);
  }

  removeOwner(owner: string): void {
    this.#owners?.delete(owner);
  }

  #watch(name: string, encoded: Encoded): void {
    this.#watched ??= new Map();
    this.#watched.set(name, encoded);
  }

  /** Makes pending what was changed in place. */
  noticeChangesInPlace(): void {
    for (const [name, { value, text }] of this.#watched ?? []) {
      const now = encode(value, name);
      // Text of another encoder is not a change: it is compared as this one would have written it.
      if (now === text || now === encode(decode(text, name), name)) continue;
      this.put(name, { value, text: now });
    }
  }

  // ── storing ──

  /** Whether a session is made for it: durations and owners alone make none. */
  get isWorthStoring(): boolean {
    for (const [name, encoded] of this.#pending ?? []) {
      if (encoded !== undefined && name !== PERSIST) return true;
    }
    return false;
  }

  get hasPending(): boolean {
    return (this.#pending?.size ?? 0) > 0;
  }

  get persists(): boolean {
    return this.#persist !== undefined;
  }

  /** Returns the changes to write to a stored session, if there are any. */
  change(record: SessionRecord, timeouts: Timeouts): Changes | undefined {
    if (!this.#pending?.size && !this.#owners && !this.renewal) return undefined;
    let set: Map<string, string> | undefined;
    let remove: Set<string> | undefined;
    for (const [name, encoded] of this.#pending ?? []) {
      const stored = record.values.get(name);
      if (encoded === undefined) {
        if (stored !== undefined) remove = (remove ?? new Set()).add(name);
      } else {
        const text = isObject(encoded.value) ? encode(encoded.value, name) : encoded.text;
        if (text !== stored) set = (set ?? new Map()).set(name, text);
      }
    }
    const isLogin = this.renewal === "login";
    if (isLogin && !this.persists && record.values.has(PERSIST)) {
      remove = (remove ?? new Set()).add(PERSIST);
    }
    const addOwners = this.#missingOwners(record);
    const isUnchanged = set === undefined && remove === undefined && addOwners === undefined;
    if (isUnchanged && !this.renewal && !this.persists) return undefined;
    // Not spread together: this is on the path of every request that writes.
    const change: { -readonly [name in keyof Changes]: Changes[name] } = { touch: true };
    if (set) change.set = set;
    if (remove) change.delete = remove;
    if (addOwners) change.addOwners = addOwners;
    if (isLogin || this.renewal === "reauthenticate") change.restart = true;
    if (isLogin) {
      change.idle = timeouts.idleTimeout;
      change.absolute = timeouts.absoluteTimeout;
      // Bars what was loaded before the sign-in: see `Change.userChanged`.
      if (set?.has(USER)) change.userChanged = true;
    }
    if (this.#persist !== undefined) {
      change.idle = this.#persist;
      const absolute = isLogin ? timeouts.absoluteTimeout : record.absolute;
      change.absolute = Math.max(absolute, this.#persist);
    }
    return change;
  }

  /** The record that a new session begins with. */
  newRecord(publicId: string, timeouts: Timeouts, now: number): SessionRecord {
    const values = new Map<string, string>();
    for (const [name, encoded] of this.#pending ?? []) {
      if (encoded !== undefined) values.set(name, encode(encoded.value, name));
    }
    return {
      publicId,
      values,
      owners: new Set(this.owners(publicId)),
      createdAt: now,
      startedAt: now,
      seenAt: now,
      idle: this.#persist ?? timeouts.idleTimeout,
      absolute: this.absoluteTimeout ?? Math.max(timeouts.absoluteTimeout, this.#persist ?? 0),
    };
  }

  /**
   * Returns the changes that a commit stores which begins now. The app may go on changing the
   * draft.
   */
  sent(): Sent {
    return {
      pending: this.#pending && new Map(this.#pending),
      owners: this.#owners && new Set(this.#owners),
      renewal: this.renewal,
      persist: this.#persist,
    };
  }

  /**
   * Drops the changes that were `sent`: they are stored, and their objects may go on changing in
   * place. Changes that were requested while the commit was in flight are still to be stored.
   */
  settle(sent: Sent, record: SessionRecord | undefined): void {
    for (const [name, encoded] of sent.pending ?? []) {
      if (!this.isStill(name, encoded)) continue;
      this.#pending?.delete(name);
      const text = record?.values.get(name);
      if (encoded && text !== undefined && isObject(encoded.value)) {
        this.#watch(name, { value: encoded.value, text });
      }
    }
    for (const owner of sent.owners ?? []) this.#owners?.delete(owner);
    if (this.#owners?.size === 0) this.#owners = undefined;
    if (this.renewal === sent.renewal) this.renewal = undefined;
    if (this.#persist === sent.persist) this.#persist = undefined;
  }

  /** Drops everything. */
  clear(): void {
    this.#pending = undefined;
    this.#watched = undefined;
    this.#owners = undefined;
    this.#persist = undefined;
    this.renewal = undefined;
    this.absoluteTimeout = undefined;
  }

  /** The record is lost or replaced: what was decoded of it is not watched any more. */
  forgetRecord(): void {
    this.#watched = undefined;
  }

  #missingOwners(record: SessionRecord): Set<string> | undefined {
    if (this.#owners === undefined) return undefined;
    const missing = this.owners(record.publicId).filter((it) => !record.owners.has(it));
    return missing.length > 0 ? new Set(missing) : undefined;
  }
}
