import { appNames, namesOf } from "./entry-names.ts";
import type { ImpersonateOptions, Impersonator } from "./request/acting-owner.ts";
import type { DestroyOptions } from "./request/clear-site-data.ts";
import { checkKey } from "./request/codec.ts";
import type { SignInOptions } from "./request/sign-in-methods.ts";
import { Entries } from "./session-entries.ts";
import type { SessionImplementation } from "./session-implementation.ts";
import { expiresAt } from "./store.ts";

/**
 * The values that the app keeps in a session, by key. Augment it, and `get` and `set` are typed:
 *
 * ```ts
 * declare module "@lanai/session" {
 *   interface SessionData { cart: Cart }
 * }
 * ```
 */
// biome-ignore lint/suspicious/noEmptyInterface: apps add to it by augmentation.
export interface SessionData {}

/** The session as Lanai's packages use it, beyond what an app may do. */
export interface SessionExtension {
  /** The entries of a namespace, the packages' own included. */
  namespace<T = Record<string, unknown>>(name: string): Entries<T>;
  /** Adds an owner of any kind. */
  addOwner(owner: string | ((publicId: string) => string)): void;
  /**
   * Has `giveWay` called when the session is larger than its store takes: it removes an entry that the
   * visitor can do without and returns `true`, or `false` if there is none. It is called until the
   * session fits, and once for one request: the last one counts.
   */
  whenTooLarge(giveWay: () => boolean): void;
}

const OWN_NAMESPACES: ReadonlySet<string> = new Set([
  "account",
  "bound",
  "channels",
  "clients",
  "device",
  "flash",
  "jwt",
]);

/** An app often makes an owner of what a visitor has typed: it must not name a user by it. */
function checkOwner(owner: string): string {
  checkKey(owner);
  if (/^(user|client|session|acting):/.test(owner)) {
    throw new TypeError(
      `addOwner(owner): owners that begin with "${owner.slice(0, owner.indexOf(":") + 1)}" are the library's own: choose another beginning`,
    );
  }
  return owner;
}

/** The session of a request: what the app sees as `ctx.session`. */
export class Session<Data = SessionData> extends Entries<Data> {
  readonly #part: SessionImplementation;

  constructor(part: SessionImplementation) {
    super(part, appNames);
    this.#part = part;
  }

  get #loaded(): SessionImplementation {
    this.#part.mustBeReadable();
    return this.#part;
  }

  /**
   * The secret that the client holds; `undefined` while the session is not stored, or if another
   * request has renewed it since. Never log it; {@link Session.publicId} is for lists and logs.
   */
  get id(): string | undefined {
    return this.#loaded.id;
  }

  /**
   * A random public name, the same for the session's whole life. A new session has it before anything
   * is set, and keeps it if it is stored; reading it stores nothing. `undefined` if the request came with
   * an id that was renewed, or its session has been ended by another.
   */
  get publicId(): string | undefined {
    return this.#loaded.publicId;
  }

  /** Whether the request brought no session that is alive. */
  get isNew(): boolean {
    return this.#loaded.status !== "live";
  }

  /** Who signed in, as given to {@link Session.login}. */
  get userId(): string | undefined {
    return this.#part.userId;
  }

  /**
   * The time of the user's last sign-in or re-authentication, by the store's clock; `undefined` if
   * nobody is signed in.
   */
  get authenticatedAt(): Date | undefined {
    const { authenticatedAt } = this.#part;
    return authenticatedAt === undefined ? undefined : new Date(authenticatedAt);
  }

  /** The methods of that sign-in; empty if nobody is signed in, or no methods were given. */
  get methods(): readonly string[] {
    return this.#part.methods;
  }

  /**
   * Whether this request has signed a user in, the same one or another, by {@link Session.login} or
   * {@link Session.reauthenticate}.
   */
  get hasSignedIn(): boolean {
    return this.#part.hasSignedIn;
  }

  /** The owners by whom the session can be found: its user, and those of {@link Session.addOwner}. */
  get owners(): ReadonlySet<string> {
    return this.#loaded.owners;
  }

  /** The time of creation by the store's clock; `undefined` while the session isn't stored. */
  get createdAt(): Date | undefined {
    const { record } = this.#loaded;
    return record && new Date(record.createdAt);
  }

  /**
   * The time when the session ends if nobody uses it, by the store's clock; `undefined` while not
   * stored.
   */
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
   * @throws TypeError for a user id or methods that can't be.
   */
  login(userId: string, options?: SignInOptions): void {
    this.#part.login(userId, options);
  }

  /**
   * Records that the signed-in user has proved again who they are: a fresh {@link Session.authenticatedAt},
   * these methods in place of the former ones, and a new id, with the same data. The absolute timeout
   * starts anew (NIST SP 800-63B-4, 2.2.3). Takes effect in the request's commit.
   *
   * If another request renews the id or signs somebody in at the same moment and comes first, nothing of
   * this request is stored, the event `dropped` says so, and an explicit `commit` rejects with
   * `ERR_SESSION_RENEWED`: a fresh sign-in never goes to an id that somebody else holds.
   *
   * @throws {SessionError} `ERR_SESSION_REQUIRED` (401) if nobody is signed in; TypeError for methods
   *   that can't be.
   */
  reauthenticate(options?: SignInOptions): void {
    this.#part.reauthenticate(options);
  }

  /**
   * Who acts for the user of this session; `undefined` if the user does. What the methods and the instant
   * of the sign-in say is then about this person.
   */
  get impersonator(): Impersonator | undefined {
    const { impersonator } = this.#part;
    return impersonator && { userId: impersonator.userId, publicId: impersonator.publicId };
  }

  /**
   * Begins a session of another user, for the one who is signed in. Whether they may is for the app to
   * check before. The client gets the new session's id in the request's commit; what this request has set
   * goes into the new session. It ends with the session of whoever called this, and can't be nested,
   * persisted or re-authenticated. Ending it by {@link Session.destroy} ends both.
   *
   * The new session counts among those of the user, is theirs to end, and ends none of them.
   *
   * @throws {SessionError} `ERR_SESSION_REQUIRED` (401) if nobody is signed in; `ERR_SESSION_IMPERSONATED`
   *   (403) if this is an impersonated session; `ERR_SESSION_NOT_INDEXED` for a store that can't find
   *   sessions by owner. The commit rejects with `ERR_SESSION_GONE` if the own session has ended meanwhile.
   */
  impersonate(userId: string, options?: ImpersonateOptions): void {
    this.#part.impersonate(userId, options);
  }

  /**
   * Ends an impersonated session, at once, and goes on with the impersonator's, under a new id. What this
   * request has set and not committed is dropped.
   *
   * @returns `false` if this request has no such session, if another request has stopped it before, or if
   *   the impersonator's session has ended: the client is then signed out.
   */
  stopImpersonating(): Promise<boolean> {
    return this.#part.stopImpersonating();
  }

  /**
   * Names the device that the session was signed in from, for lists of the user's devices. Takes effect in
   * the request's commit.
   *
   * @param label - At most 64 characters without control characters; white space around them is removed.
   *   `""` removes the label.
   * @throws {SessionError} `ERR_SESSION_REQUIRED` (401) if nobody is signed in; `ERR_SESSION_IMPERSONATED`
   *   (403) if this is an impersonated session; TypeError for a label that can't be.
   */
  labelDevice(label: string): void {
    this.#part.labelDevice(label);
  }

  /**
   * Moves the session to a new id, in the request's commit: after every change of privileges (OWASP
   * Session Management Cheat Sheet, *Renew the Session ID*). The old id is dead at once.
   */
  renewId(): void {
    this.#part.renewId();
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
    this.#part.persist(Math.floor(duration));
  }

  /**
   * Makes the session findable by one more owner, such as `client:…`; its user already is one.
   *
   * @param owner - 1 to 256 bytes in UTF-8, which don't begin with `user:`, `client:` or `session:`:
   *   those kinds are the library's own. Or a function that makes it of the public id, for a session
   *   that has none yet.
   */
  addOwner(owner: string | ((publicId: string) => string)): void {
    if (typeof owner === "function") {
      this.#part.addOwner((publicId) => checkOwner(owner(publicId)));
    } else {
      this.#part.addOwner(checkOwner(owner));
    }
  }

  /**
   * Signs out: ends the session in the store, for every request, and has the client forget its id.
   * A value that is set afterwards begins a new, anonymous session. If the session was loaded and
   * its id was renewed since, it is ended, too.
   *
   * @throws {SessionError} `ERR_SESSION_RENEWED` (409) if the request came with an id that had been
   *   renewed already: nothing was ended.
   */
  destroy(options?: DestroyOptions): Promise<void> {
    return this.#part.destroy(options);
  }

  /**
   * Stores what was changed, now. Otherwise it happens by itself before the response leaves.
   *
   * @throws {SessionError} `ERR_SESSION_GONE` (401) if the session has ended meanwhile;
   *   `ERR_SESSION_RENEWED` (409) if its id was renewed before this request came, or if another user
   *   has signed in since it was loaded. Nothing was stored.
   */
  commit(): Promise<void> {
    return this.#part.commit();
  }

  /**
   * Drops what was changed and not stored, and loads the session as it is now. If its id was renewed
   * by somebody else, the object is anonymous from then on, and only `destroy` and `login` do
   * something.
   */
  reload(): Promise<void> {
    return this.#part.reload();
  }

  /**
   * Finds the session, with `load: 'lazy'`. A second call costs nothing. Before it, synchronous
   * methods throw `ERR_SESSION_NOT_LOADED`, and asynchronous ones load the session themselves.
   */
  async load(): Promise<this> {
    await this.#part.load();
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
    if (OWN_NAMESPACES.has(name)) {
      throw new TypeError(`namespace(name): "${name}" belongs to a package of Lanai`);
    }
    return new Entries<T>(this.#part, namesOf(name));
  }

  /** The internal methods of Lanai's own packages; not for apps. */
  static extensionOf(session: Session): SessionExtension {
    const part = session.#part;
    return {
      namespace: (name) => new Entries(part, namesOf(name)),
      addOwner: (owner) => part.addOwner(owner),
      whenTooLarge: (giveWay) => part.whenTooLarge(giveWay),
    };
  }
}

/** Registered, so that two copies of this package in one tree know each other's sessions. */
const EXTENSION = Symbol.for("lanai.session.extension");
Object.defineProperty(Session.prototype, EXTENSION, {
  get(this: Session): SessionExtension {
    return Session.extensionOf(this);
  },
});

/** The extension of a session of any copy of this package. */
export function extensionOf<Data>(session: Session<Data>): SessionExtension {
  return (session as unknown as Record<symbol, SessionExtension>)[EXTENSION] as SessionExtension;
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
    throw new TypeError(
      `a session has no properties of its own: write ${hint}; for a library that sets properties, ` +
        "such as koa-csrf, mount plainSession of @lanai/session-compat",
    );
  },
});
Object.setPrototypeOf(Entries.prototype, guard);
Object.freeze(Entries.prototype);
Object.freeze(Session.prototype);
