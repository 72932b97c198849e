import { inspect } from "node:util";
import type { EntryNames } from "./entry-names.ts";
import { checkKey } from "./request/codec.ts";
import type { SessionImplementation } from "./session-implementation.ts";

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
  readonly #part: SessionImplementation;
  readonly #names: EntryNames;

  constructor(part: SessionImplementation, names: EntryNames) {
    this.#part = part;
    this.#names = names;
  }

  /** The value, or `undefined`. */
  get<K extends AnyKey<Data>>(key: K): Value<Data, K> | undefined {
    return this.#part.read(this.#names.of(key)) as Value<Data, K> | undefined;
  }

  /** Returns whether a key is set. */
  has(key: AnyKey<Data>): boolean {
    return this.#part.has(this.#names.of(key));
  }

  /** All keys, sorted. */
  keys(): string[] {
    const { prefix } = this.#names;
    return this.#part.names(prefix).map((name) => name.slice(prefix.length));
  }

  /** All keys and values, sorted by key. */
  entries(): [string, unknown][] {
    return this.keys().map((key) => [key, this.get(key)]);
  }

  /**
   * Sets a value. Of two requests that set one key the later commit wins; see
   * {@link Entries.update}.
   */
  set<K extends AnyKey<Data>>(key: K, value: Value<Data, K>): this {
    checkKey(key);
    this.#part.write(this.#names.of(key), value);
    return this;
  }

  /** @returns Whether there was such a key. */
  delete(key: AnyKey<Data>): boolean {
    const had = this.has(key);
    if (had) this.#part.remove(this.#names.of(key));
    return had;
  }

  /** Deletes all of these keys; the session itself, its user and other namespaces stay. */
  clear(): void {
    for (const key of this.keys()) this.delete(key);
  }

  /**
   * Takes a value out, at once: of two requests that pop one key exactly one gets its value. If
   * another request has renewed the session's id, only a value that nobody has changed since is
   * taken out.
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
    const popped = await this.#part.pop(keys.map((key) => this.#names.of(key)));
    return new Map([...popped].map(([name, value]) => [name.slice(prefix.length), value]));
  }

  /**
   * Replaces a value by what `change` makes of it, at once, and resolves to that: of many requests that
   * do so every one counts. `change` may run several times; `undefined` deletes the key.
   *
   * @throws {SessionError} `ERR_SESSION_CONFLICT` (503) after 16 conflicts in a row,
   *   `ERR_SESSION_GONE` (401) if the session has ended meanwhile, `ERR_SESSION_RENEWED` (409) if
   *   another request has renewed the session's id and either the value or the user has changed since.
   */
  async update<
    K extends AnyKey<Data>,
    Change extends (
      value: Value<Data, K> | undefined,
    ) => Value<Data, K> | undefined | Promise<Value<Data, K> | undefined>,
  >(key: K, change: Change): Promise<Awaited<ReturnType<Change>>> {
    checkKey(key);
    const updated = await this.#part.update(
      this.#names.of(key),
      change as (value: unknown) => unknown,
    );
    return updated as Awaited<ReturnType<Change>>;
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

  /** Returns the same as {@link Entries.getString}, and takes the value out. */
  popString(key: AnyKey<Data>, fallback = ""): Promise<string> {
    return this.#popTyped(key, isString, fallback);
  }

  /** Returns the same as {@link Entries.getNumber}, and takes the value out. */
  popNumber(key: AnyKey<Data>, fallback = 0): Promise<number> {
    return this.#popTyped(key, isNumber, fallback);
  }

  /** Returns the same as {@link Entries.getInt}, and takes the value out. */
  popInt(key: AnyKey<Data>, fallback = 0): Promise<number> {
    return this.#popTyped(key, isInt, fallback);
  }

  /** Returns the same as {@link Entries.getBoolean}, and takes the value out. */
  popBoolean(key: AnyKey<Data>, fallback = false): Promise<boolean> {
    return this.#popTyped(key, isBoolean, fallback);
  }

  /** Returns the same as {@link Entries.getDate}, and takes the value out. */
  popDate(key: AnyKey<Data>, fallback: Date = zeroDate()): Promise<Date> {
    return this.#popTyped(key, isDate, fallback);
  }

  /** Returns the same as {@link Entries.getBytes}, and takes the value out. */
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
        if (this.#part.status === "unknown") return { [name]: "not loaded" };
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
