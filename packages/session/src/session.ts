import { inspect } from "node:util";
import { checkKey } from "./codec.ts";
import type { SessionWork } from "./session-work.ts";
import { expiresAt } from "./store.ts";

/**
 * What the app keeps in a session, by key. Augment it, and `get` and `set` are typed:
 *
 * ```ts
 * declare module "@lanai/session" {
 *   interface SessionData { cart: Cart }
 * }
 * ```
 */
// biome-ignore lint/suspicious/noEmptyInterface: apps add to it by augmentation.
export interface SessionData {}

type KeyOf<Data> = keyof Data & string;
type Value<Data, K> = K extends keyof Data ? Data[K] : unknown;
/** A key that `Data` names, or any other, whose value is unknown. */
type AnyKey<Data> = KeyOf<Data> | (string & {});

const zeroDate = (): Date => new Date(0);
const zeroBytes = (): Uint8Array => new Uint8Array(0);

const isString = (value: unknown): value is string => typeof value === "string";
const isNumber = (value: unknown): value is number => typeof value === "number";
const isInt = (value: unknown): value is number => Number.isSafeInteger(value);
const isBoolean = (value: unknown): value is boolean => typeof value === "boolean";
const isDate = (value: unknown): value is Date => value instanceof Date;
const isBytes = (value: unknown): value is Uint8Array => value instanceof Uint8Array;

/** How many names of one kind are kept: more than an app has, fewer than a client can invent. */
const MAX_NAMES = 1024;

/**
 * The names under which the keys of one kind are stored. A key that recurs has one name, made and
 * hashed once, and held once by all the sessions in memory.
 */
class Names {
  readonly prefix: string;
  readonly #known = new Map<string, string>();

  constructor(prefix: string) {
    this.prefix = prefix;
  }

  of(key: string): string {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const name = this.prefix + key;
    if (this.#known.size < MAX_NAMES) this.#known.set(key, name);
    return name;
  }
}

const appNames = new Names("d:");
const packageNames = new Map<string, Names>();

function namesOf(namespace: string): Names {
  const known = packageNames.get(namespace);
  if (known !== undefined) return known;
  const names = new Names(`${namespace}:`);
  if (packageNames.size < MAX_NAMES) packageNames.set(namespace, names);
  return names;
}

/**
 * Named values of one session. The app's are on the session itself, a package's in a
 * {@link Session.namespace} of its own; both are stored in the same commit.
 *
 * A key is a string of 1 to 256 bytes of well-formed Unicode without U+0000; any other is a
 * `TypeError` at `set`. Names such as `__proto__` are keys like any other. A value is what JSON has,
 * or a `Date`, `Uint8Array`, `bigint`, `Map` or `Set`; what can't be stored is a `TypeError` at
 * `set` that gives the path to it. A value that was changed in place is noticed.
 */
export class Entries<Data = Record<string, unknown>> {
  readonly #work: SessionWork;
  readonly #names: Names;

  constructor(work: SessionWork, names: Names) {
    this.#work = work;
    this.#names = names;
  }

  /** The value, or `undefined`. */
  get<K extends AnyKey<Data>>(key: K): Value<Data, K> | undefined {
    return this.#work.read(this.#names.of(key)) as Value<Data, K> | undefined;
  }

  has(key: AnyKey<Data>): boolean {
    return this.#work.has(this.#names.of(key));
  }

  /** All keys, sorted. */
  keys(): string[] {
    const { prefix } = this.#names;
    return this.#work.names(prefix).map((name) => name.slice(prefix.length));
  }

  /** All keys and values, sorted by key. */
  entries(): [string, unknown][] {
    return this.keys().map((key) => [key, this.get(key)]);
  }

  /** Of two requests that set one key the later commit wins; see {@link Entries.update}. */
  set<K extends AnyKey<Data>>(key: K, value: Value<Data, K>): this {
    checkKey(key);
    this.#work.write(this.#names.of(key), value);
    return this;
  }

  /** @returns Whether there was such a key. */
  delete(key: AnyKey<Data>): boolean {
    const had = this.has(key);
    if (had) this.#work.remove(this.#names.of(key));
    return had;
  }

  /** Deletes all of these keys; the session itself, its user and other namespaces stay. */
  clear(): void {
    for (const key of this.keys()) this.delete(key);
  }

  /**
   * Takes a value out, at once: of two requests that pop one key exactly one gets its value.
   *
   * @throws {SessionError} `ERR_SESSION_CONFLICT` after 16 conflicts in a row.
   */
  async pop<K extends AnyKey<Data>>(key: K): Promise<Value<Data, K> | undefined> {
    const popped = await this.popMany([key]);
    return popped.get(key) as Value<Data, K> | undefined;
  }

  /** Takes several values out in one commit. Keys that are missing are missing in the map. */
  async popMany(keys: readonly string[]): Promise<Map<string, unknown>> {
    const { prefix } = this.#names;
    const popped = await this.#work.pop(keys.map((key) => this.#names.of(key)));
    return new Map([...popped].map(([name, value]) => [name.slice(prefix.length), value]));
  }

  /**
   * Replaces a value by what `change` makes of it, at once: of many requests that do so every one
   * counts. `change` may run several times; `undefined` deletes the key.
   *
   * @throws {SessionError} `ERR_SESSION_CONFLICT` after 16 conflicts in a row, `ERR_SESSION_GONE` if
   *   the session has ended meanwhile.
   */
  async update<K extends AnyKey<Data>>(
    key: K,
    change: (
      value: Value<Data, K> | undefined,
    ) => Value<Data, K> | undefined | Promise<Value<Data, K> | undefined>,
  ): Promise<Value<Data, K> | undefined> {
    checkKey(key);
    const updated = await this.#work.update(
      this.#names.of(key),
      change as (value: unknown) => unknown,
    );
    return updated as Value<Data, K> | undefined;
  }

  /** The value if it is a string, else `fallback` (default: `''`). */
  getString(key: AnyKey<Data>, fallback = ""): string {
    return this.#typed(key, isString, fallback);
  }

  /** The value if it is a number, else `fallback` (default: 0). */
  getNumber(key: AnyKey<Data>, fallback = 0): number {
    return this.#typed(key, isNumber, fallback);
  }

  /** The value if it is a safe integer, else `fallback` (default: 0). */
  getInt(key: AnyKey<Data>, fallback = 0): number {
    return this.#typed(key, isInt, fallback);
  }

  /** The value if it is a boolean, else `fallback` (default: false). */
  getBoolean(key: AnyKey<Data>, fallback = false): boolean {
    return this.#typed(key, isBoolean, fallback);
  }

  /** The value if it is a `Date`, else `fallback` (default: the epoch, 1970-01-01T00:00Z). */
  getDate(key: AnyKey<Data>, fallback: Date = zeroDate()): Date {
    return this.#typed(key, isDate, fallback);
  }

  /** The value if it is a `Uint8Array`, else `fallback` (default: no bytes). */
  getBytes(key: AnyKey<Data>, fallback: Uint8Array = zeroBytes()): Uint8Array {
    return this.#typed(key, isBytes, fallback);
  }

  /** As {@link Entries.getString}, taking the value out. */
  popString(key: AnyKey<Data>, fallback = ""): Promise<string> {
    return this.#popTyped(key, isString, fallback);
  }

  /** As {@link Entries.getNumber}, taking the value out. */
  popNumber(key: AnyKey<Data>, fallback = 0): Promise<number> {
    return this.#popTyped(key, isNumber, fallback);
  }

  /** As {@link Entries.getInt}, taking the value out. */
  popInt(key: AnyKey<Data>, fallback = 0): Promise<number> {
    return this.#popTyped(key, isInt, fallback);
  }

  /** As {@link Entries.getBoolean}, taking the value out. */
  popBoolean(key: AnyKey<Data>, fallback = false): Promise<boolean> {
    return this.#popTyped(key, isBoolean, fallback);
  }

  /** As {@link Entries.getDate}, taking the value out. */
  popDate(key: AnyKey<Data>, fallback: Date = zeroDate()): Promise<Date> {
    return this.#popTyped(key, isDate, fallback);
  }

  /** As {@link Entries.getBytes}, taking the value out. */
  popBytes(key: AnyKey<Data>, fallback: Uint8Array = zeroBytes()): Promise<Uint8Array> {
    return this.#popTyped(key, isBytes, fallback);
  }

  #typed<T>(key: string, is: (value: unknown) => value is T, fallback: T): T {
    const value: unknown = this.get(key);
    return is(value) ? value : fallback;
  }

  async #popTyped<T>(key: string, is: (value: unknown) => value is T, fallback: T): Promise<T> {
    const value: unknown = await this.pop(key);
    return is(value) ? value : fallback;
  }

  /** The data; never the id. */
  toJSON(): Record<string, unknown> {
    return Object.fromEntries(this.entries());
  }

  static {
    // Not a method: a computed name has no declaration under isolatedDeclarations.
    Object.defineProperty(Entries.prototype, inspect.custom, {
      value(this: Entries): unknown {
        const { name } = this.constructor;
        if (this.#work.status === "unloaded") return { [name]: "not loaded" };
        try {
          return { [name]: this.toJSON() };
        } catch {
          // Who prints a session is not to fail by what is in it.
          return { [name]: "not readable" };
        }
      },
    });
  }
}

/** The session of a request: what the app sees as `ctx.session`. */
export class Session<Data = SessionData> extends Entries<Data> {
  readonly #work: SessionWork;

  constructor(work: SessionWork) {
    super(work, appNames);
    this.#work = work;
  }

  get #loaded(): SessionWork {
    this.#work.mustBeLoaded();
    return this.#work;
  }

  /**
   * The secret that the client holds; `undefined` while the session is not stored, or if another
   * request has renewed it since. Never log it; {@link Session.publicId} is for lists and logs.
   */
  get id(): string | undefined {
    return this.#loaded.id;
  }

  /** A random public name, the same for the session's whole life; `undefined` while not stored. */
  get publicId(): string | undefined {
    return this.#loaded.record?.publicId;
  }

  /** Whether the request brought no session that is alive. */
  get isNew(): boolean {
    return this.#loaded.status !== "live";
  }

  /** Who signed in, as given to {@link Session.login}. */
  get userId(): string | undefined {
    return this.#work.userId;
  }

  /** By whom the session can be found: its user, and what {@link Session.addOwner} added. */
  get owners(): ReadonlySet<string> {
    return this.#loaded.owners;
  }

  /** By the store's clock; `undefined` while not stored. */
  get createdAt(): Date | undefined {
    const { record } = this.#loaded;
    return record && new Date(record.createdAt);
  }

  /** When the session ends if nobody uses it; `undefined` while not stored. By the store's clock. */
  get expiresAt(): Date | undefined {
    const { record } = this.#loaded;
    return record && new Date(expiresAt(record));
  }

  /**
   * Signs a user in: a new id (against fixation), a new absolute timeout, and `userId` as owner.
   * Takes effect in the request's commit. If another user was signed in, their session is destroyed,
   * and this is a new one.
   *
   * @param userId - 1 to 256 characters, none of them U+0000.
   */
  login(userId: string): void {
    this.#work.login(userId);
  }

  /**
   * Moves the session to a new id, in the request's commit: after every change of privileges (OWASP
   * Session Management Cheat Sheet, *Renew the Session ID*). The old id is dead at once.
   */
  renewId(): void {
    this.#work.renewId();
  }

  /**
   * "Stay signed in": the session ends `duration` milliseconds after its last use, and at most as
   * long after its login, and its cookie outlives the browser. A later login ends it.
   *
   * @param duration - 1 second to 400 days (the longest that browsers keep a cookie).
   */
  persist(duration: number): void {
    if (!(duration >= 1000 && duration <= 400 * 24 * 60 * 60 * 1000)) {
      throw new RangeError(
        `persist(duration) takes 1,000 (a second) to 34,560,000,000 (400 days) milliseconds, got ${duration}`,
      );
    }
    this.#work.persist(Math.floor(duration));
  }

  /**
   * Makes the session findable by one more owner, such as `client:…`; its user already is one.
   *
   * @param owner - 1 to 256 bytes in UTF-8. Or a function that makes it of the public id, for a session
   *   that has none yet.
   */
  addOwner(owner: string | ((publicId: string) => string)): void {
    if (typeof owner !== "function") checkKey(owner);
    this.#work.addOwner(owner);
  }

  /**
   * Signs out: the session is ended in the store, for every request, and the client is told to
   * forget its id. What is set afterwards begins a new, anonymous session.
   */
  destroy(): Promise<void> {
    return this.#work.destroy();
  }

  /**
   * Stores what was changed, now. Otherwise it happens by itself before the response leaves.
   *
   * @throws {SessionError} `ERR_SESSION_GONE` if the session has ended meanwhile.
   */
  commit(): Promise<void> {
    return this.#work.commit();
  }

  /** Drops what was changed and not stored, and loads the session as it is now. */
  reload(): Promise<void> {
    return this.#work.reload();
  }

  /**
   * With `load: 'lazy'`: finds the session. Asking again costs nothing. Before it, what answers at
   * once is `ERR_SESSION_NOT_LOADED`, and what is awaited loads by itself.
   */
  async load(): Promise<this> {
    await this.#work.load();
    return this;
  }

  /**
   * Entries of a package, apart from the app's: unseen by `keys`, `clear` and `toJSON`.
   *
   * @param name - A lower-case word of letters, digits and dashes, of two characters or more.
   */
  namespace<T = Record<string, unknown>>(name: string): Entries<T> {
    if (!/^[a-z][a-z0-9-]{1,31}$/.test(name)) {
      throw new TypeError(
        `namespace(name) takes 2 to 32 lower-case letters, digits and dashes, got ${JSON.stringify(name)}`,
      );
    }
    return new Entries<T>(this.#work, namesOf(name));
  }
}

/**
 * `ctx.session.user = 'ada'` is how other packages write. Here it would be lost in silence, so it is
 * an error that says what to write: the end of the prototype chain sees such an assignment, and
 * costs the methods before it nothing.
 */
const guard = new Proxy(Object.prototype, {
  set(_target, property, _value, receiver) {
    const name = receiver instanceof Session ? "ctx.session" : "entries";
    const key = String(property);
    const hint =
      key === "maxAge"
        ? `${name}.persist(milliseconds)`
        : `${name}.set(${JSON.stringify(key)}, value)`;
    throw new TypeError(`a session has no properties of its own: write ${hint}`);
  },
});
Object.setPrototypeOf(Entries.prototype, guard);
Object.freeze(Entries.prototype);
Object.freeze(Session.prototype);
