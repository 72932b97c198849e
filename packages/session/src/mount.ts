import type { ExtendableContext } from "koa";
import { SessionError } from "./errors.ts";
import type { SessionWork } from "./session-work.ts";

/** A context with the sessions that were mounted on it, by property. */
type Mounted = ExtendableContext & Record<symbol, SessionWork | undefined>;

/** Registered, so that two copies of this package in one tree see each other's sessions. */
const slotOf = (property: string): symbol => Symbol.for(`lanai.session.${property}`);
const OURS = Symbol.for("lanai.session");

/** Where a manager puts the session of a request, and `ctx.session` finds it. */
export class Mount {
  readonly #property: string;
  readonly #slot: symbol;
  #prepared: object | undefined;

  constructor(property: string) {
    this.#property = property;
    this.#slot = slotOf(property);
  }

  get(ctx: ExtendableContext): SessionWork | undefined {
    return (ctx as Mounted)[this.#slot];
  }

  /** As `get`, for what can't go on without a session. */
  required(ctx: ExtendableContext): SessionWork {
    const work = this.get(ctx);
    if (work) return work;
    throw new SessionError(
      "ERR_SESSION_NO_MIDDLEWARE",
      `ctx.${this.#property} is not there: mount session() or sessions.middleware() before this middleware`,
    );
  }

  set(ctx: ExtendableContext, work: SessionWork): void {
    // All contexts of an app inherit from one object: the accessor is defined there, once.
    const context: object = Object.getPrototypeOf(ctx);
    if (context !== this.#prepared) {
      defineAccessor(ctx, context, this.#property, this.#slot);
      this.#prepared = context;
    }
    (ctx as Mounted)[this.#slot] = work;
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
    const work = this[slot];
    if (work === undefined) return undefined;
    work.accessed = true;
    return work.session;
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
