import { inspect } from "node:util";
import { checkOptions, property as propertyName } from "@lanai/connection/options";
import type { Session, SessionMiddleware, Sessions } from "@lanai/session";
import type { ExtendableContext } from "koa";
import { provideFlash } from "./req-flash.ts";

type Callback = (error?: unknown) => void;

/**
 * A session whose entries are its properties, as koa-session's. Every name is an entry but those
 * listed here.
 */
export interface PlainSession {
  /** Whether the request brought no session that is alive. */
  readonly isNew: boolean;
  /** The number of entries. */
  readonly length: number;
  /** Whether there is any entry. */
  readonly populated: boolean;
  /**
   * Milliseconds until the session ends if nobody uses it; `undefined` while it is not stored. Being
   * set, it is the `persist` of the session: 1 second to 400 days.
   */
  maxAge: number | undefined;
  /** Stores what was changed, now. */
  save(): Promise<void>;
  save(callback: Callback): undefined;
  /**
   * Ends the session and begins a new, empty one, with a new id, as express-session's; this object
   * keeps what it had. Await it, or give a callback, before the next use of `ctx.session`.
   */
  regenerate(): Promise<void>;
  regenerate(callback: Callback): undefined;
  /** The same as `save()`. */
  manuallyCommit(): Promise<void>;
  toJSON(): Record<string, unknown>;
  [entry: string]: unknown;
}

/** Options of `plainSession`. */
export interface PlainSessionOptions {
  /** The plain session is `ctx[property]`. Default: `session`. */
  readonly property?: string;
}

/** The common part of a session and a `Map`, in which a plain session keeps its former entries. */
type Entries = Pick<Map<string, unknown>, "has" | "get" | "delete"> & {
  set(key: string, value: unknown): unknown;
  keys(): Iterable<string>;
};

/** The manager of the session at each property of a request's context. */
const mounted = new WeakMap<ExtendableContext, Map<string, Sessions>>();

/**
 * Gives libraries that expect koa-session their `ctx.session`, on the session of a request: entries
 * by property access, and `ctx.session = null` to end it. The app's own code has the session itself
 * by `sessions.from(ctx)`, or at the property that `sessions` were given, which must be another
 * one.
 *
 * Mount it after `sessions.middleware()`, at as many levels as you like. A lazy session is loaded.
 *
 * @throws {TypeError} for an option that doesn't exist, or a `property` that is no name; at a
 *   request, for one that is in use.
 */
export function plainSession<Data>(
  typed: Sessions<Data>,
  options: PlainSessionOptions = {},
): SessionMiddleware {
  checkOptions("plainSession", options, { property: propertyName });
  const { property = "session" } = options;
  // Entries are reached by any name here, whatever `Data` says of them.
  const sessions = typed as unknown as Sessions;
  const preload = sessions.preload();

  return async (ctx, next) => {
    const there = mounted.get(ctx) ?? new Map<string, Sessions>();
    mounted.set(ctx, there);
    if (there.get(property) !== sessions) mount(ctx, property, sessions);
    there.set(property, sessions);
    provideFlash(ctx, sessions);
    await preload(ctx, next);
  };
}

function mount(ctx: ExtendableContext, property: string, sessions: Sessions): void {
  if (property in ctx) {
    throw new TypeError(
      `ctx.${property} is taken: give createSessions another property, such as 'lanai'`,
    );
  }
  let current: PlainSession | null | undefined;
  const reset = () => {
    current = undefined;
  };

  Object.defineProperty(ctx, property, {
    configurable: true,
    get() {
      if (current === undefined) current = plain(sessions.from(ctx), property, reset);
      return current;
    },
    set(value: unknown) {
      const session = sessions.from(ctx);
      if (value === null) {
        // Awaited, and its failure reported, before the head leaves.
        void session.destroy();
        current = null;
        return;
      }
      if (typeof value !== "object") {
        throw new TypeError(`ctx.${property} can be set to null or an object, got ${typeof value}`);
      }
      const entries = Object.entries(value).filter(([, item]) => item !== undefined);
      session.clear();
      for (const [key, item] of entries) session.set(key, item);
      reset();
    },
  });
}

function plain(session: Session, property: string, replaced: () => void): PlainSession {
  let entries: Entries = session;

  const save = () => session.commit();
  const regenerate = async () => {
    entries = new Map(session.entries());
    replaced();
    await session.destroy();
  };
  const toJSON = () =>
    Object.fromEntries([...entries.keys()].map((key) => [key, entries.get(key)]));

  const own = {
    get isNew() {
      return session.isNew;
    },
    get length() {
      return [...entries.keys()].length;
    },
    get populated() {
      return own.length > 0;
    },
    get maxAge() {
      return session.expiresAt && session.expiresAt.getTime() - Date.now();
    },
    set maxAge(duration: number | undefined) {
      session.persist(duration as number);
    },
    save: (callback?: Callback) => told(save(), callback),
    regenerate: (callback?: Callback) => told(regenerate(), callback),
    manuallyCommit: save,
    toJSON,
    [inspect.custom]: toJSON,
  };

  const isEntry = (key: string | symbol): key is string =>
    typeof key === "string" && !Object.hasOwn(own, key) && entries.has(key);

  return new Proxy<object>(own, {
    has: (_, key) => isEntry(key) || Reflect.has(own, key),
    get: (_, key) => (isEntry(key) ? entries.get(key) : Reflect.get(own, key)),
    set(_, key, value) {
      if (key === "maxAge") own.maxAge = value;
      else if (typeof key === "symbol" || Object.hasOwn(own, key)) {
        throw new TypeError(`ctx.${property}.${String(key)} can't be set: it is not an entry`);
      } else if (value === undefined) entries.delete(key);
      else entries.set(key, value);
      return true;
    },
    deleteProperty(_, key) {
      if (isEntry(key)) entries.delete(key);
      return true;
    },
    ownKeys: () => [...entries.keys()].filter(isEntry),
    getOwnPropertyDescriptor: (_, key) =>
      isEntry(key)
        ? { value: entries.get(key), writable: true, enumerable: true, configurable: true }
        : undefined,
    defineProperty: () => false,
    preventExtensions: () => false,
  }) as PlainSession;
}

/** A promise, or, where there is a callback, its call. */
function told(promise: Promise<void>, callback: Callback | undefined): Promise<void> | undefined {
  if (!callback) return promise;
  void promise.then(() => callback(), callback);
}
