import type { ExtendableContext } from "koa";
import { SessionError } from "../errors.ts";
import type { RequestSession } from "../request/request-session.ts";

/** A context with the sessions that were mounted on it, by property. */
type Mounted = ExtendableContext & Record<symbol, RequestSession | undefined>;

/** Registered, so that two copies of this package in one tree see each other's sessions. */
const slotOf = (property: string): symbol => Symbol.for(`lanai.session.${property}`);
const OURS = Symbol.for("lanai.session");

/** The property at which a manager puts the session of a request, and `ctx.session` finds it. */
export class Mount {
  readonly #property: string;
  readonly #slot: symbol;
  #prepared: object | undefined;

  constructor(property: string) {
    this.#property = property;
    this.#slot = slotOf(property);
  }

  get(ctx: ExtendableContext): RequestSession | undefined {
    return (ctx as Mounted)[this.#slot];
  }

  /** Returns the session of a request. @throws {SessionError} `ERR_SESSION_NO_MIDDLEWARE` if there is none. */
  required(ctx: ExtendableContext): RequestSession {
    const request = this.get(ctx);
    if (request) return request;
    throw new SessionError(
      "ERR_SESSION_NO_MIDDLEWARE",
      `ctx.${this.#property} is not there: mount session() or sessions.middleware() before this middleware`,
    );
  }

  set(ctx: ExtendableContext, request: RequestSession): void {
    // All contexts of an app inherit from one object: the accessor is defined there, once.
    const context: object = Object.getPrototypeOf(ctx);
    if (context !== this.#prepared) {
      defineAccessor(ctx, context, this.#property, this.#slot);
      this.#prepared = context;
    }
    (ctx as Mounted)[this.#slot] = request;
  }
}

function defineAccessor(
  ctx: ExtendableContext,
  context: object,
  property: string,
  slot: symbol,
): void {
  const getter = Object.getOwnPropertyDescriptor(context, property)?.get;
  if (getter && OURS in getter) return;
  // Asked of the request's own context, where Koa puts request, state and others.
  if (property in ctx) {
    throw new TypeError(
      `ctx.${property} is taken by Koa or another package: give createSessions another property`,
    );
  }
  const get = function (this: Mounted): unknown {
    const request = this[slot];
    if (request === undefined) return undefined;
    request.accessed = true;
    return request.session;
  };
  const set = (value: unknown): never => {
    throw new TypeError(
      value === null || value === undefined
        ? `ctx.${property} can't be assigned: to sign out, await ctx.${property}.destroy()`
        : `ctx.${property} can't be assigned: write ctx.${property}.set(key, value)`,
    );
  };
  Object.defineProperty(context, property, {
    configurable: true,
    get: Object.assign(get, { [OURS]: true }),
    set,
  });
}
