import { headLeft } from "@lanai/connection";
import type { Sessions } from "@lanai/session";
import { extend } from "@lanai/session/extension";
import type { ExtendableContext, Next } from "koa";
import { newClients, sessionOwner } from "../sessions/session-checks.ts";
import type { ClientCookie } from "./client-cookie.ts";

/** The browser that a request comes from. */
export interface Client {
  /** Its public id: a hash of the secret in its cookie. */
  readonly id: string;
  /** Whether this response gives it the cookie. */
  readonly isNew: boolean;
}

declare module "koa" {
  interface ExtendableContext {
    /**
     * The browser that sent the request, where `clients.middleware()` is mounted; `undefined` for an
     * upgrade without its cookie.
     */
    client: Client | undefined;
  }
}

/**
 * Recognises the browser by its client cookie, and sets one on a browser that has none and gets a
 * session.
 */
export type ClientsMiddleware = (ctx: ExtendableContext, next: Next) => Promise<void>;

/** Errors of a request without a session, or whose session isn't loaded or can't be written any more. */
const HARMLESS: readonly unknown[] = [
  "ERR_SESSION_NO_MIDDLEWARE",
  "ERR_SESSION_NOT_LOADED",
  "ERR_SESSION_SENT",
];

export const isUpgrade = (ctx: ExtendableContext): boolean => ctx.req.headers.upgrade !== undefined;

/** Recognises the browser that each request comes from. */
export class BrowserNames {
  readonly #cookie: ClientCookie;
  readonly #sessions: Pick<Sessions, "from">;
  readonly #named = new WeakMap<ExtendableContext, Client>();

  readonly #running = new WeakMap<ExtendableContext, Promise<void>>();

  readonly #begun: (client: string) => void;

  /** @param begun - Called when the response that gives a known browser a new session has left. */
  constructor(
    cookie: ClientCookie,
    sessions: Pick<Sessions, "from">,
    begun: (client: string) => void,
  ) {
    this.#begun = begun;
    this.#cookie = cookie;
    this.#sessions = sessions;
  }

  idOf(ctx: ExtendableContext): string | undefined {
    return (this.#named.get(ctx) ?? this.#cookie.read(ctx))?.id;
  }

  /** Returns whether the request brought a cookie that was given before. */
  isKnown(ctx: ExtendableContext): boolean {
    return this.idOf(ctx) !== undefined && this.#named.get(ctx)?.isNew !== true;
  }

  /** Gives a request that is made in the place of another that one's browser. */
  adopt(ctx: ExtendableContext, id: string): void {
    this.#named.set(ctx, { id, isNew: false });
  }

  /** Sends the browser a cookie, with the response of this request. */
  async give(ctx: ExtendableContext): Promise<void> {
    ctx.client = { id: await this.#cookie.issue(ctx), isNew: true };
    this.#named.set(ctx, ctx.client);
  }

  /** Resolves when the request's handler has settled; at once where the middleware isn't mounted. */
  settled(ctx: ExtendableContext): Promise<void> {
    return this.#running.get(ctx) ?? Promise.resolve();
  }

  middleware(): ClientsMiddleware {
    return async (ctx, next) => {
      if (this.#named.has(ctx)) return next();
      const known = this.#cookie.read(ctx);
      ctx.client = known && { id: known.id, isNew: false };
      if (ctx.client) {
        this.#named.set(ctx, ctx.client);
        await known?.again?.();
      } else if (!isUpgrade(ctx)) {
        // A connection that is refused for want of the cookie must not get it by that.
        await this.give(ctx);
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#running.set(ctx, promise);
      try {
        await next();
      } finally {
        resolve();
        this.#own(ctx);
      }
    };
  }

  /** Calls `begun` when the response has left, if the new session was stored. */
  #watchBegin(ctx: ExtendableContext, { id, isNew }: Client): void {
    if (isNew) return;
    ctx.res.once("close", () => {
      if (this.#sessions.from(ctx).id !== undefined) this.#begun(id);
    });
  }

  /** Makes the request's session findable: by its public id and by its browser. */
  #own(ctx: ExtendableContext): void {
    // That of a live connection is made so when it is attached.
    if (headLeft(ctx)) return;
    try {
      const session = this.#sessions.from(ctx);
      const { isNew, publicId, owners } = session;
      const own = extend(session);
      const isOwned = !isNew && publicId !== undefined && owners.has(sessionOwner(publicId));
      if (!isOwned) own.addOwner(sessionOwner);
      const client = this.#named.get(ctx);
      // A session that came without the cookie is of no browser; each request would be another one.
      if (client === undefined || (client.isNew && !isNew)) return;
      if (isNew) this.#watchBegin(ctx, client);
      for (const owner of newClients(owners, [client.id])) own.addOwner(owner);
    } catch (error) {
      if (!HARMLESS.includes((error as { code?: unknown }).code)) throw error;
    }
  }
}
