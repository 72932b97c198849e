import { randomBytes } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { beforeHead, headLeft, keepHeaders } from "@lanai/connection";
import type { ExtendableContext } from "koa";
import { changed } from "./changed.ts";
import { checkKey, decode, encode } from "./codec.ts";
import { SessionError } from "./errors.ts";
import { publish, type SessionEvent, type SessionEventName } from "./events.ts";
import type { Id, IdGenerator } from "./id-generator.ts";
import { type Refusal, requiredError } from "./refusal.ts";
import { Session } from "./session.ts";
import { keyOf } from "./session-key.ts";
import type {
  Awaitable,
  Change,
  CommitResult,
  Ended,
  Key,
  Loaded,
  SessionRecord,
  Store,
} from "./store.ts";
import { type Ask, isPromise } from "./store-guard.ts";
import type { Tracked, Tracker } from "./tracker.ts";

/** What the sessions of one manager share. */
export interface SessionSettings {
  readonly store: Store;
  readonly tracker: Tracker;
  readonly generator: IdGenerator;
  readonly idleTimeout: number;
  readonly absoluteTimeout: number;
  readonly property: string;
  readonly onSessionNew: ((session: Session, ctx?: ExtendableContext) => unknown) | undefined;
  readonly onSessionRelease: ((released: ReleasedSession) => unknown) | undefined;
  /** Every call of the store goes through it. */
  readonly ask: Ask;
  /** A name for one call of the store, never used again. */
  readonly operation: () => string;
  /** Tells the listeners that a session ended, or that its id did. */
  readonly ended: (ended: Ended, reason: "destroyed" | "renewed") => Promise<void>;
}

/** A session about to be destroyed. */
export interface ReleasedSession {
  readonly publicId: string;
  readonly owners: ReadonlySet<string>;
  /** Its data, where it was at hand: not when it is ended by its public id or its owner. */
  readonly session?: Session;
}

/** An entry that this request wrote or decoded: the value, and the text it had then. */
interface Held {
  readonly value: unknown;
  readonly text: string;
}

type Changes = Omit<Change, "operation">;

/** An owner, or what makes one of the public id, which a new session has when it is stored. */
export type Owner = string | ((publicId: string) => string);

/** The manager's own entries. */
export const USER = "s:user";
const PERSIST = "s:persist";

/** How often a change is tried again when others come between. */
const TRIES = 16;
/** New ids that collide are a broken generator, not bad luck. */
const ID_TRIES = 3;

const userOwner = (userId: string): string => `user:${userId}`;
const isObject = (value: unknown): boolean => typeof value === "object" && value !== null;
/**
 * Random, so that those who collided don't collide again; longer the more often they did. Every
 * other try goes at once, with the record that the conflict brought: waiting would make it stale.
 */
const jitter = async (tries: number): Promise<void> => {
  if (tries % 2 === 1) await wait(Math.random() * 2 ** Math.min(tries, 8));
};

/**
 * One request's (or job's) work on one session: what it loaded, what it changed, and how that is
 * committed. {@link Session} is its face.
 */
export class SessionWork {
  readonly settings: SessionSettings;
  readonly ctx: ExtendableContext | undefined;
  /**
   * - `unloaded`: not looked for yet.
   * - `new`: none; a commit creates one if something was set.
   * - `live`: the record was found.
   * - `renewed`: the request bears an id that was renewed a moment ago: it stays anonymous.
   * - `gone`: found, and ended since by another request: it stays ended.
   */
  status: "unloaded" | "new" | "live" | "renewed" | "gone" = "unloaded";
  record: SessionRecord | undefined = undefined;
  /** Why what the request brought is not a session. */
  refusal: Refusal | undefined = undefined;
  /** Whether the app has looked: the response then depends on who asks. */
  accessed = false;

  /** Private, as the key is, so that inspecting a context doesn't show it. */
  #id: Id | undefined = undefined;
  #key: Key = "";
  /** Milliseconds by which the store's clock is ahead of this process's. */
  #ahead = 0;
  #pending: Map<string, Held | undefined> | undefined = undefined;
  #decoded: Map<string, Held> | undefined = undefined;
  #newOwners: Set<Owner> | undefined = undefined;
  #renew: "renew" | "login" | undefined = undefined;
  #persist: number | undefined = undefined;
  #touchDue = false;
  #announce = false;
  #forget = false;
  #closing = false;
  #sent = false;
  #lastly: Awaitable<void> = undefined;
  #loading: Promise<void> | undefined = undefined;
  #ending: Promise<void> | undefined = undefined;
  #committing: Promise<void> | undefined = undefined;
  #underWay: Promise<CommitResult> | undefined = undefined;
  #leave: (() => Promise<void>) | undefined = undefined;
  #session: Session | undefined = undefined;

  constructor(settings: SessionSettings, ctx?: ExtendableContext) {
    this.settings = settings;
    this.ctx = ctx;
  }

  get id(): Id | undefined {
    return this.#id;
  }

  get session(): Session {
    this.#session ??= new Session(this);
    return this.#session;
  }

  // ── finding it ──

  /** Finds the session of the request; once, however often it is asked. */
  load(): Awaitable<void> {
    if (this.status !== "unloaded" || this.ctx === undefined) return;
    if (this.#loading !== undefined) return this.#loading;
    const { tracker } = this.settings;
    const tracked = tracker.get(this.ctx);
    const done = isPromise(tracked) ? tracked.then((it) => this.#find(it)) : this.#find(tracked);
    if (isPromise(done)) {
      this.#loading = done.then(() => this.#judge());
      return this.#loading;
    }
    this.#judge();
  }

  /** Finds the session of a token that came another way than with the request `ctx`. */
  async receive(ctx: ExtendableContext, text: string): Promise<void> {
    await this.#find(await this.settings.tracker.get(ctx, text), ctx);
  }

  /** Whether a client is still to be told the id. */
  get isToBeSent(): boolean {
    return this.#announce;
  }

  #judge(): void {
    const { tracker, property } = this.settings;
    if (!tracker.strict || (this.refusal === undefined && this.status !== "renewed")) return;
    throw requiredError("the session was refused", property, tracker, this.refusal);
  }

  #find(tracked: Tracked | undefined, ctx = this.ctx): Awaitable<void> {
    if (tracked === undefined) {
      this.status = "new";
      return;
    }
    if (tracked.id === undefined) return this.#refuse({ ...tracked, reason: tracked.refused });
    const { store, generator } = this.settings;
    if (!(store.carriesData ?? generator).isValid(tracked.id))
      return this.#refuse(tracked.ifMalformed ?? { reason: "malformed" });
    return this.find(tracked.id, tracked, ctx);
  }

  /** Looks for the session with a valid id. */
  find(
    id: Id,
    tracked: Tracked = { id },
    ctx: ExtendableContext | undefined = this.ctx,
  ): Awaitable<void> {
    const { store, ask } = this.settings;
    const key = store.carriesData ? id : keyOf(id);
    this.#id = id;
    this.#key = key;
    const loaded = ask(() => store.load(key));
    return isPromise(loaded)
      ? loaded.then((it) => this.#found(it, tracked, ctx))
      : this.#found(loaded, tracked, ctx);
  }

  #found(loaded: Loaded, tracked: Tracked, ctx: ExtendableContext | undefined): Awaitable<void> {
    if (loaded.status !== "live") {
      this.#forgetRecord();
      if (loaded.status === "none") return this.#refuse(tracked.ifUnknown ?? { reason: "unknown" });
      this.status = "renewed";
      return;
    }
    const { record, now } = loaded;
    const { idleTimeout, absoluteTimeout, tracker, store } = this.settings;
    this.record = record;
    this.#ahead = now - Date.now();
    // Timeouts that were lowered since hold for sessions that are already stored.
    const persistent = record.values.has(PERSIST);
    const idle = persistent ? record.idle : Math.min(record.idle, idleTimeout);
    const absolute = persistent ? record.absolute : Math.min(record.absolute, absoluteTimeout);
    const idleFor = now - record.seenAt;
    if (idleFor >= idle || now - record.startedAt >= absolute) return this.#expire(record);

    this.#touchDue = idleFor >= idle / 10 && store.carriesData === undefined;
    if (tracker.admit && ctx) return this.#admit(ctx, tracked, record);
    this.status = "live";
    if (this.#touchDue) this.#register();
  }

  async #expire(record: SessionRecord): Promise<void> {
    const id = this.#id;
    const key = this.#key;
    this.#forgetRecord();
    this.#refuse({ reason: "expired", level: "info" });
    await this.#release(id, key, record);
  }

  #refuse(refusal: Refusal): void {
    this.status = "new";
    this.refusal = refusal;
    this.#report("refused", refusal.level ?? "warn", { reason: refusal.reason });
  }

  /** The tracker's judgement; only a change of its own, or an end, takes a call of the store. */
  #admit(
    ctx: ExtendableContext,
    tracked: Tracked,
    record: SessionRecord,
    tries = 0,
  ): Awaitable<void> {
    const { tracker, store } = this.settings;
    const found = {
      now: Date.now() + this.#ahead,
      carriesData: store.carriesData !== undefined,
    };
    const admission = tracker.admit?.(ctx, tracked, record, found);
    if (admission?.status === "refuse") {
      const id = this.#id;
      const key = this.#key;
      this.#refuse(admission);
      this.#forgetRecord();
      return admission.destroy ? this.#release(id, key, record) : undefined;
    }
    const { change, reissue = false } = admission ?? {};
    if (change) return this.#commitAdmission(ctx, tracked, change, reissue, tries);
    this.status = "live";
    this.#announce = reissue;
    if (this.#touchDue || reissue) this.#register();
  }

  async #commitAdmission(
    ctx: ExtendableContext,
    tracked: Tracked,
    change: Changes,
    reissue: boolean,
    tries: number,
  ): Promise<void> {
    const result = await this.#commit(change);
    if (result.status === "saved") {
      this.status = "live";
      this.#announce ||= reissue;
      this.#register();
    } else if (result.status === "conflict") {
      if (tries === TRIES - 1) throw conflict();
      await jitter(tries);
      await this.#admit(ctx, tracked, result.record, tries + 1);
    } else {
      this.#forgetRecord();
      if (result.status === "gone") this.#refuse(tracked.ifUnknown ?? { reason: "unknown" });
      else this.status = "renewed";
    }
  }

  /** Drops everything and finds the session again, as it is now. */
  async reload(): Promise<void> {
    await this.#ready();
    this.#forgetChanges();
    if (this.status !== "live") return;
    const { ask, store } = this.settings;
    const loaded = await ask(() => store.load(this.#key));
    if (loaded.status === "live") {
      this.record = loaded.record;
      return;
    }
    this.#forgetRecord();
    this.status = loaded.status === "renewed" ? "renewed" : "gone";
  }

  // ── reading ──

  read(name: string): unknown {
    this.mustBeLoaded();
    const pending = this.#pending?.get(name);
    if (pending !== undefined) return pending.value;
    if (this.#pending?.has(name)) return undefined;
    const text = this.record?.values.get(name);
    return text === undefined ? undefined : this.#readStored(name, text);
  }

  #readStored(name: string, text: string): unknown {
    const held = this.#decoded?.get(name);
    if (held !== undefined) return held.value;
    const value = decode(text, name);
    // Only an object can change in place.
    if (isObject(value)) {
      this.#decoded ??= new Map();
      this.#decoded.set(name, { value, text });
      this.#register();
    }
    return value;
  }

  has(name: string): boolean {
    this.mustBeLoaded();
    if (this.#pending?.has(name)) return this.#pending.get(name) !== undefined;
    return this.record?.values.has(name) ?? false;
  }

  /** The entries' names that begin with `prefix`, sorted. */
  names(prefix: string): string[] {
    this.mustBeLoaded();
    const names = new Set(this.record?.values.keys());
    for (const [name, held] of this.#pending ?? []) {
      if (held === undefined) names.delete(name);
      else names.add(name);
    }
    return [...names].filter((name) => name.startsWith(prefix)).sort();
  }

  get userId(): string | undefined {
    return this.read(USER) as string | undefined;
  }

  get owners(): ReadonlySet<string> {
    const { record } = this;
    return new Set([...(record?.owners ?? []), ...this.#ownersOf(record?.publicId)]);
  }

  // ── changing ──

  write(name: string, value: unknown): void {
    this.#mustBeWritable();
    // Encoded here too, so that what can't be stored fails where it was written.
    this.#pend(name, { value, text: encode(value, name) });
  }

  remove(name: string): void {
    this.#mustBeWritable();
    this.#pend(name, undefined);
  }

  login(userId: string): void {
    this.#mustBeWritable();
    if (
      typeof userId !== "string" ||
      userId === "" ||
      userId.length > 256 ||
      !userId.isWellFormed() ||
      userId.includes("\0")
    ) {
      throw new TypeError(
        "login(userId): userId must be a string of 1 to 256 well-formed characters without U+0000",
      );
    }
    const { userId: before } = this;
    if (before !== undefined && before !== userId) {
      // What one user left, or a slow request of theirs still writes, must not be seen by the next.
      this.#newOwners?.delete(userOwner(before));
      void this.#beginAnew();
    }
    this.#pend(USER, { value: userId, text: encode(userId, USER) });
    this.addOwner(userOwner(userId));
    this.#renew = "login";
  }

  renewId(): void {
    this.#mustBeWritable();
    this.#renew ??= "renew";
  }

  persist(duration: number): void {
    this.#mustBeWritable();
    this.#persist = duration;
    this.#pend(PERSIST, { value: duration, text: encode(duration, PERSIST) });
  }

  addOwner(owner: Owner): void {
    this.#mustBeWritable();
    this.#newOwners ??= new Set();
    this.#newOwners.add(owner);
  }

  #pend(name: string, held: Held | undefined): void {
    this.#pending ??= new Map();
    this.#pending.set(name, held);
  }

  /** Unless something else was set since. */
  #unpend(name: string, held: Held | undefined): void {
    if (this.#pending?.get(name) === held) this.#pending?.delete(name);
  }

  // ── at once and alone ──

  /** Takes entries out: whoever's commit is first has them. */
  async pop(names: readonly string[]): Promise<Map<string, unknown>> {
    await this.#ready();
    this.#mustBeWritable();
    const popped = new Map<string, unknown>();
    // Taken at once: another pop of this request must not find it again.
    const taken = new Map<string, Held>();
    const wanted = names.filter((name) => {
      const held = this.#pending?.get(name);
      if (held === undefined) return !this.#pending?.has(name);
      popped.set(name, held.value);
      taken.set(name, held);
      this.#pend(name, undefined);
      return true;
    });
    try {
      const stored = await this.#popStored(wanted);
      if (stored === undefined) return new Map();
      for (const name of taken.keys()) {
        if (this.#pending?.get(name) === undefined) this.#pending?.delete(name);
      }
      return new Map([...stored, ...popped]);
    } catch (error) {
      for (const [name, held] of taken) {
        if (this.#pending?.get(name) === undefined) this.#pend(name, held);
      }
      throw error;
    }
  }

  /** `undefined`: the session has ended. */
  async #popStored(names: readonly string[]): Promise<Map<string, unknown> | undefined> {
    for (let tries = 0; tries < TRIES; tries++) {
      const expect = new Map<string, string>();
      const values = new Map<string, unknown>();
      for (const name of names) {
        const text = this.record?.values.get(name);
        if (text === undefined) continue;
        expect.set(name, text);
        // Read first: what can't be decoded must not be taken out.
        values.set(name, this.#readStored(name, text));
      }
      if (this.status !== "live" || expect.size === 0) return values;
      const result = await this.#commit({ delete: new Set(expect.keys()), expect, touch: true });
      if (result.status === "saved") {
        for (const name of expect.keys()) this.#decoded?.delete(name);
        return values;
      }
      if (result.status !== "conflict") {
        this.#gone();
        return undefined;
      }
      await jitter(tries);
    }
    throw conflict();
  }

  /** Replaces an entry by what `change` makes of it, however many do so at the same time. */
  async update(name: string, change: (value: unknown) => unknown): Promise<unknown> {
    await this.#ready();
    this.#mustBeWritable();
    this.#noticeChangesInPlace();
    for (let tries = 0; tries < TRIES; tries++) {
      const stored = this.record?.values.get(name);
      const pending = this.#pending?.get(name);
      const before = this.#pending?.has(name) ? pending && encode(pending.value, name) : stored;
      // Decoded anew for each try: `change` may change it in place.
      const value = await change(before === undefined ? undefined : decode(before, name));
      const text = value === undefined ? undefined : encode(value, name);
      if (this.status !== "live") {
        // Another update of this request was faster.
        if (this.#pending?.get(name) !== pending) continue;
        this.#pend(name, text === undefined ? undefined : { value, text });
        return value;
      }
      if (text === stored) {
        this.#unpend(name, pending);
        return value;
      }
      const commit: Changes = {
        ...(text === undefined ? { delete: new Set([name]) } : { set: new Map([[name, text]]) }),
        expect: new Map([[name, stored]]),
        touch: true,
      };
      const result = await this.#commit(commit);
      if (result.status === "saved") {
        this.#unpend(name, pending);
        this.#decoded?.delete(name);
        return value;
      }
      if (result.status !== "conflict") throw this.#gone();
      await jitter(tries);
    }
    throw conflict();
  }

  /** Ends the session; the work goes on with a new, anonymous one. */
  destroy(): Promise<void> {
    if (this.status === "unloaded" && this.ctx) {
      this.#register();
      return this.#endBeforeHead(this.#ready().then(() => this.destroy()));
    }
    try {
      this.#mustBeWritable();
    } catch (error) {
      return Promise.reject(error);
    }
    this.#forgetChanges();
    return this.#beginAnew();
  }

  /** Ends what there is, keeping what this request has set for what comes after it. */
  #beginAnew(): Promise<void> {
    const { status, record } = this;
    const id = this.#id;
    const key = this.#key;
    this.#forgetRecord();
    // What a renewed id sets next is dropped too: a cookie would replace that of the login beside it.
    if (status !== "renewed") this.status = "new";
    if (status !== "live" || record === undefined) return Promise.resolve();
    this.#forget = true;
    return this.#endBeforeHead(this.#release(id, key, record));
  }

  /** Awaited again before the head leaves, so that an end that nobody awaited fails there. */
  #endBeforeHead(ending: Promise<void>): Promise<void> {
    ending.catch(() => {});
    this.#ending = ending;
    return ending;
  }

  /** Destroys a record, telling of it before and after. */
  async #release(id: Id | undefined, key: Key, record: SessionRecord): Promise<void> {
    const { onSessionRelease, ask, store, ended } = this.settings;
    if (onSessionRelease) {
      const released = new SessionWork(this.settings);
      released.adopt(id, key, record);
      const { publicId, owners } = record;
      await onSessionRelease({ publicId, owners, session: released.session });
    }
    const end = await ask(() => store.destroy(key));
    if (end) await ended(end, "destroyed");
  }

  /** Takes over a record that was found or made elsewhere. */
  adopt(id: Id | undefined, key: Key, record: SessionRecord): void {
    this.#id = id;
    this.#key = key;
    this.record = record;
    this.status = "live";
  }

  // ── committing ──

  /** Commits now, and fails if there is nothing to commit to. */
  commit(): Promise<void> {
    const before = this.#committing;
    const committing = (async () => {
      // One at a time: each stores what those before it have left.
      await before?.catch(() => {});
      await this.#ready();
      this.#mustBeWritable();
      await this.#save();
      if (this.status === "gone") throw this.#goneError();
      await this.#send();
    })();
    this.#committing = committing;
    return committing;
  }

  /** Commits what is left when the request is done. Where there is nothing to wait for it is done. */
  finish(): Awaitable<void> {
    return this.#leave ? this.#last() : this.#close();
  }

  /** As `finish`, for a request that failed: Koa is about to clear the headers. */
  async finishFailed(): Promise<void> {
    const { ctx } = this;
    if (ctx === undefined) return;
    if (this.accessed) await keepHeaders(ctx, () => this.#vary());
    await this.finish();
  }

  #register(): void {
    if (this.#leave || this.ctx === undefined) return;
    this.#leave = beforeHead(this.ctx, () => this.#last());
  }

  /** Once: at the end of the request, or before, by whoever sends the head. */
  #last(): Awaitable<void> {
    if (this.#closing) return this.#lastly;
    this.#closing = true;
    try {
      const others = this.#committing ?? this.#ending;
      const saving = others === undefined ? this.#save() : this.#saveAfterOthers();
      if (isPromise(saving)) {
        this.#lastly = saving.finally(() => this.#close()).then(() => this.#sendLast());
        return this.#lastly;
      }
    } catch (error) {
      this.#close();
      throw error;
    }
    this.#close();
    this.#lastly = this.#sendLast();
    return this.#lastly;
  }

  async #saveAfterOthers(): Promise<void> {
    await this.#committing?.catch(() => {});
    await this.#ending;
    await this.#save();
  }

  #sendLast(): Awaitable<void> {
    if (this.status === "gone" && this.#pending?.size) this.#report("gone", "info");
    if (this.#announce || this.#forget) return this.#send();
  }

  #close(): void {
    this.#sent = true;
    if (this.accessed) this.#vary();
  }

  #save(): Awaitable<void> {
    this.#noticeChangesInPlace();
    if (this.status === "live") return this.#saveLive();
    if (this.#renew === "login") return this.#create();
    if (this.status === "new" && this.#hasSomethingToKeep()) return this.#create();
    if (this.status === "renewed" && this.#hasSomethingToKeep()) this.#report("dropped", "info");
  }

  /** Durations and owners alone make no session. */
  #hasSomethingToKeep(): boolean {
    for (const [name, held] of this.#pending ?? []) {
      if (held !== undefined && name !== PERSIST) return true;
    }
    return false;
  }

  #saveLive(): Awaitable<void> {
    const change = this.#change();
    if (change === undefined) return this.#touchDue ? this.#touch() : undefined;
    const { carriesData } = this.settings.store;
    if (this.ctx?.res.headersSent && (this.#renew || carriesData)) throw sentError();
    if (this.#renew && !carriesData) return this.#saveRenewed(change);
    const result = this.#attempt(change);
    // A store in memory has answered already.
    if (isPromise(result) || result.status !== "saved") return this.#settle(change, result);
  }

  async #saveRenewed(change: Changes): Promise<void> {
    const nextId = await this.#successor();
    return this.#settle(change, this.#attempt(change, nextId), nextId);
  }

  /** Tries until the change is in, or there is nothing left that it could go into. */
  async #settle(first: Changes, attempt: Awaitable<CommitResult>, renewTo?: Id): Promise<void> {
    let change = first;
    let nextId = renewTo;
    let result = await attempt;
    for (let tries = 0; result.status !== "saved"; tries++) {
      if (tries === TRIES - 1) throw conflict();
      if (result.status === "conflict") {
        change = this.#change() ?? {};
        await jitter(tries);
      } else if (this.#renew === "login") {
        // Someone else renewed or ended what was there. Who has just proved who they are begins anew.
        return this.#create();
      } else if (result.status === "renewed") {
        nextId = undefined;
      } else {
        this.#gone();
        return;
      }
      result = await this.#attempt(change, nextId);
    }
    if (nextId !== undefined) await this.#renewed();
  }

  #attempt(change: Changes, nextId?: Id): Awaitable<CommitResult> {
    // Copied where the app goes on while the commit is under way.
    const sent = this.#closing ? this.#pending : new Map(this.#pending);
    const result = this.#commit(change, nextId);
    const take = (it: CommitResult): CommitResult => {
      if (it.status === "saved") this.#saved(sent, nextId);
      return it;
    };
    return isPromise(result) ? result.then(take) : take(result);
  }

  #saved(sent: ReadonlyMap<string, Held | undefined> = new Map(), nextId?: Id): void {
    if (nextId !== undefined || this.#persists()) this.#announce = true;
    if (!this.#closing || this.#announce) this.#keepChanges(sent);
  }

  #persists(): boolean {
    return this.#persist !== undefined || this.record?.values.has(PERSIST) === true;
  }

  async #successor(): Promise<Id> {
    const { generator } = this.settings;
    const fresh = await generator.generate(this.ctx);
    return `${this.#key.slice(0, 2)}${fresh.slice(2)}`;
  }

  async #renewed(): Promise<void> {
    this.#report("renewed", "info");
    if (this.record) await this.settings.ended(this.record, "renewed");
  }

  /** Reading is not writing: the idle time is extended only when a tenth of it has passed. */
  async #touch(): Promise<void> {
    this.#touchDue = false;
    try {
      const result = await this.#commit({ touch: true });
      if (result.status === "saved" && this.#persists()) this.#announce = true;
    } catch {
      // Reported by the guard. Nothing that the app did is lost, so its answer may leave.
    }
  }

  /** What is to be written, or nothing. */
  #change(): Changes | undefined {
    const { idleTimeout, absoluteTimeout } = this.settings;
    const { record } = this;
    if (record === undefined) return undefined;
    if (!this.#pending?.size && !this.#newOwners && !this.#renew) return undefined;
    const set = new Map<string, string>();
    let remove: Set<string> | undefined;
    for (const [name, held] of this.#pending ?? []) {
      const stored = record.values.get(name);
      if (held === undefined) {
        if (stored !== undefined) remove = (remove ?? new Set()).add(name);
      } else {
        const text = isObject(held.value) ? encode(held.value, name) : held.text;
        if (text !== stored) set.set(name, text);
      }
    }
    const login = this.#renew === "login";
    if (login && this.#persist === undefined && record.values.has(PERSIST)) {
      remove = (remove ?? new Set()).add(PERSIST);
    }
    const addOwners = this.#ownersToAdd(record);
    const unchanged = set.size === 0 && remove === undefined && addOwners === undefined;
    if (unchanged && !this.#renew && this.#persist === undefined) return undefined;
    // Not spread together: this is on the path of every request that writes.
    const change: { -readonly [name in keyof Changes]: Changes[name] } = { touch: true };
    if (set.size > 0) change.set = set;
    if (remove) change.delete = remove;
    if (addOwners) change.addOwners = addOwners;
    if (login)
      Object.assign(change, { restart: true, idle: idleTimeout, absolute: absoluteTimeout });
    if (this.#persist !== undefined) {
      change.idle = this.#persist;
      change.absolute = Math.max(login ? absoluteTimeout : record.absolute, this.#persist);
    }
    return change;
  }

  /** The new owners; without a public id those that need none. */
  #ownersOf(publicId: string | undefined): string[] {
    const owners: string[] = [];
    for (const owner of this.#newOwners ?? []) {
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

  #ownersToAdd(record: SessionRecord): Set<string> | undefined {
    if (this.#newOwners === undefined) return undefined;
    const missing = this.#ownersOf(record.publicId).filter((it) => !record.owners.has(it));
    return missing.length > 0 ? new Set(missing) : undefined;
  }

  async #create(): Promise<void> {
    const { settings, ctx } = this;
    if (ctx?.res.headersSent) throw sentError();
    const { store, generator } = settings;
    this.#forgetRecord();
    for (let tries = 1; ; tries++) {
      const id = store.carriesData ? "" : await generator.generate(ctx);
      const key = store.carriesData ? "" : keyOf(id);
      const publicId = randomBytes(16).toString("base64url");
      this.#id = id || undefined;
      this.status = "new";
      if (tries === 1) await this.#welcome();
      const record = this.#newRecord(publicId);
      const sent = new Map(this.#pending);
      try {
        const stored = await settings.ask(() =>
          store.create(key, { ...record, operation: settings.operation() }),
        );
        this.adopt(store.carriesData ? stored : id, stored, record);
        this.#keepChanges(sent);
        break;
      } catch (error) {
        this.#forgetRecord();
        const taken = (error as { code?: unknown }).code === "ERR_SESSION_KEY_TAKEN";
        if (!taken || tries === ID_TRIES) throw error;
      }
    }
    this.#announce = true;
    this.#report("created", "info");
  }

  async #welcome(): Promise<void> {
    try {
      await this.settings.onSessionNew?.(this.session, this.ctx);
    } catch (error) {
      this.#forgetRecord();
      throw error;
    }
  }

  #newRecord(publicId: string): SessionRecord {
    const { idleTimeout, absoluteTimeout } = this.settings;
    const values = new Map<string, string>();
    for (const [name, held] of this.#pending ?? []) {
      if (held !== undefined) values.set(name, encode(held.value, name));
    }
    const now = Date.now() + this.#ahead;
    return {
      publicId,
      values,
      owners: new Set(this.#ownersOf(publicId)),
      createdAt: now,
      startedAt: now,
      seenAt: now,
      idle: this.#persist ?? idleTimeout,
      absolute: Math.max(absoluteTimeout, this.#persist ?? 0),
    };
  }

  /** One at a time: each goes on from what the one before it has left. */
  #commit(change: Changes, nextId?: Id): Awaitable<CommitResult> {
    const before = this.#underWay;
    const result =
      before === undefined
        ? this.#commitNow(change, nextId)
        : before.catch(() => {}).then(() => this.#commitNow(change, nextId));
    if (!isPromise(result)) return result;
    this.#underWay = result;
    const done = (): void => {
      if (this.#underWay === result) this.#underWay = undefined;
    };
    result.then(done, done);
    return result;
  }

  #commitNow(change: Changes, nextId?: Id): Awaitable<CommitResult> {
    // It ended for the commit before this one.
    if (this.record === undefined) return { status: "gone" };
    const { ask, store, operation } = this.settings;
    const asked = this.#key;
    const renewal = nextId === undefined ? undefined : { renewTo: keyOf(nextId) };
    const result = ask(() =>
      store.commit(asked, { ...change, ...renewal, operation: operation() }),
    );
    const take = (it: CommitResult): CommitResult => {
      if (it.status === "saved") this.#applied(change, asked, it.key, nextId);
      else if (it.status === "conflict") this.record = it.record;
      return it;
    };
    return isPromise(result) ? result.then(take) : take(result);
  }

  /** The record as the store has it now. `asked` is the key that was committed to. */
  #applied(change: Changes, asked: Key, key: Key, nextId?: Id): void {
    const { record } = this;
    if (record === undefined) return;
    if (key !== asked) {
      this.#key = key;
      // An id that another request gave the session is not known here, and was sent there.
      this.#id = this.settings.store.carriesData ? key : nextId;
      this.#announce ||= this.settings.store.carriesData !== undefined;
    }
    this.#touchDue = false;
    // After the last commit only an answer that sends the id needs the record as it is now.
    if (this.#closing && key === asked && !this.#persists()) return;
    this.record = changed(record, change, Date.now() + this.#ahead);
  }

  /**
   * After a commit: what was `sent` is stored, and objects may go on changing in place. What was
   * set while the commit was under way is still to be stored.
   */
  #keepChanges(sent: ReadonlyMap<string, Held | undefined>): void {
    for (const [name, held] of sent) {
      if (this.#pending?.get(name) !== held) continue;
      this.#pending?.delete(name);
      const text = this.record?.values.get(name);
      if (held && text !== undefined && isObject(held.value)) {
        this.#decoded ??= new Map();
        this.#decoded.set(name, { value: held.value, text });
      } else {
        this.#decoded?.delete(name);
      }
    }
    this.#newOwners = undefined;
    this.#renew = undefined;
    this.#persist = undefined;
  }

  #noticeChangesInPlace(): void {
    for (const [name, { value, text }] of this.#decoded ?? []) {
      if (this.#pending?.has(name)) continue;
      const now = encode(value, name);
      // Text of another encoder is not a change: it is compared as this one would have written it.
      if (now === text || now === encode(decode(text, name), name)) continue;
      this.#pend(name, { value, text: now });
    }
  }

  // ── the response ──

  async #send(): Promise<void> {
    const { ctx, record } = this;
    const id = this.#id;
    const announce = this.#announce && id !== undefined && record !== undefined;
    if (ctx === undefined || ctx.res.headersSent || !(announce || this.#forget)) return;
    const { tracker } = this.settings;
    await keepHeaders(ctx, async () => {
      if (announce) await tracker.set(ctx, id, record, maxAge(record));
      else await tracker.clear(ctx);
      // OWASP Session Management Cheat Sheet: a response that bears an id must not be cached.
      if (!ctx.res.hasHeader("Cache-Control")) ctx.res.setHeader("Cache-Control", "no-store");
    });
    this.#announce = false;
    this.#forget = false;
  }

  #vary(): void {
    const { vary } = this.settings.tracker;
    const { ctx } = this;
    if (vary === undefined || ctx === undefined || ctx.res.headersSent) return;
    if (ctx.res.hasHeader("Vary")) ctx.vary(vary);
    else ctx.res.setHeader("Vary", vary);
  }

  // ── conditions ──

  async #ready(): Promise<void> {
    await this.load();
    await this.#ending;
  }

  /** Nothing is told of a session that was not looked for yet. */
  mustBeLoaded(): void {
    if (this.status !== "unloaded" || this.ctx === undefined) return;
    const { property } = this.settings;
    throw new SessionError(
      "ERR_SESSION_NOT_LOADED",
      `the session is lazy: await ctx.${property}.load() first, or mount sessions.preload()`,
    );
  }

  #mustBeWritable(): void {
    this.mustBeLoaded();
    if (this.#sent || (this.ctx && headLeft(this.ctx))) throw sentError();
    this.#register();
  }

  #forgetChanges(): void {
    this.#pending = undefined;
    this.#decoded = undefined;
    this.#newOwners = undefined;
    this.#renew = undefined;
    this.#persist = undefined;
  }

  #forgetRecord(): void {
    this.#id = undefined;
    this.#key = "";
    this.record = undefined;
    this.#decoded = undefined;
    this.#touchDue = false;
  }

  /** Ended by someone else: nothing of this request may bring it back. */
  #gone(): SessionError {
    this.#report("gone", "info");
    this.status = "gone";
    this.#forgetRecord();
    this.#forgetChanges();
    return this.#goneError();
  }

  #goneError(): SessionError {
    return new SessionError(
      "ERR_SESSION_GONE",
      "the session was ended or has expired, and nothing was stored: sign in again",
      { status: 401, expose: true },
    );
  }

  #report(
    name: SessionEventName,
    level: SessionEvent["level"],
    more: { reason?: string } = {},
  ): void {
    const publicId = this.record?.publicId;
    const { property } = this.settings;
    publish(name, { level, property, ...(publicId !== undefined && { publicId }), ...more });
  }
}

/** How long a client that was asked to stay signed in keeps the id. */
function maxAge(record: SessionRecord): number | undefined {
  if (!record.values.has(PERSIST)) return undefined;
  return Math.min(record.idle, record.startedAt + record.absolute - record.seenAt);
}

const conflict = (): SessionError =>
  new SessionError(
    "ERR_SESSION_CONFLICT",
    `others changed the session ${TRIES} times in a row: try again`,
    { status: 503, expose: true },
  );

const sentError = (): SessionError =>
  new SessionError(
    "ERR_SESSION_SENT",
    "the response head has left, so the session can't be written: set before answering, " +
      "await session.commit() before you write to ctx.res, or use await sessions.open(id)",
  );
