import { headLeft } from "@lanai/connection";
import type { Sessions } from "@lanai/session";
import type { ExtendableContext, Next } from "koa";
import type { ClientCookie } from "./client-cookie.ts";
import { newClients, sessionOwner } from "./watches.ts";

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

export type ClientsMiddleware = (ctx: ExtendableContext, next: Next) => Promise<void>;

/** Where there is no session, nobody has asked for it, or it can't be written to any more. */
const HARMLESS: readonly unknown[] = [
  "ERR_SESSION_NO_MIDDLEWARE",
  "ERR_SESSION_NOT_LOADED",
  "ERR_SESSION_SENT",
];

export const isUpgrade = (ctx: ExtendableContext): boolean => ctx.req.headers.upgrade !== undefined;

/** Which browser each request comes from. */
export class BrowserNames {
  readonly #cookie: ClientCookie;
  readonly #sessions: Pick<Sessions, "from">;
  readonly #named = new WeakMap<ExtendableContext, Client>();

  constructor(cookie: ClientCookie, sessions: Pick<Sessions, "from">) {
    this.#cookie = cookie;
    this.#sessions = sessions;
  }

  idOf(ctx: ExtendableContext): string | undefined {
    return (this.#named.get(ctx) ?? this.#cookie.read(ctx))?.id;
  }

  /** Whether the request brought a cookie that was given before. */
  isKnown(ctx: ExtendableContext): boolean {
    return this.idOf(ctx) !== undefined && this.#named.get(ctx)?.isNew !== true;
  }

  /** Takes over a name for a request that is made in another's stead. */
  adopt(ctx: ExtendableContext, id: string): void {
    this.#named.set(ctx, { id, isNew: false });
  }

  /** Gives the browser a cookie, with the response of this request. */
  async give(ctx: ExtendableContext): Promise<void> {
    ctx.client = { id: await this.#cookie.issue(ctx), isNew: true };
    this.#named.set(ctx, ctx.client);
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
      try {
        await next();
      } finally {
        this.#own(ctx);
      }
    };
  }

  /** Makes the request's session findable: by its public id and by its browser. */
  #own(ctx: ExtendableContext): void {
    // That of a live connection is made so when it is attached.
    if (headLeft(ctx)) return;
    try {
      const session = this.#sessions.from(ctx);
      const { isNew, publicId, owners } = session;
      if (publicId === undefined || !owners.has(sessionOwner(publicId)))
        session.addOwner(sessionOwner);
      const client = this.#named.get(ctx);
      // A session that came without the cookie is of no browser; each request would be another one.
      if (client === undefined || (client.isNew && !isNew)) return;
      for (const owner of newClients(owners, [client.id])) session.addOwner(owner);
    } catch (error) {
      if (!HARMLESS.includes((error as { code?: unknown }).code)) throw error;
    }
  }
}
