import type { Session, Sessions } from "@lanai/session";
import type { ExtendableContext } from "koa";
import type { BrowserNames } from "../browsers/browser-names.ts";
import type { Listeners } from "../listeners/listeners.ts";
import type { LocalListener } from "../listeners/local-listener.ts";
import { createTabSession, tokenIn } from "./tab-session.ts";

export interface RecognitionOptions {
  readonly sessions: Sessions;
  readonly names: BrowserNames;
  readonly listeners: Listeners;
  readonly tokenHeader: string | undefined;
}

/** Finds the session of a request, and of a token that comes over a connection. */
export class Recognition {
  readonly #options: RecognitionOptions;

  constructor(options: RecognitionOptions) {
    this.#options = options;
  }

  /**
   * Returns the stored session of a request, `renewed` if the request brought an id that another
   * request has renewed, or `undefined` if it is anonymous.
   */
  async sessionOf(ctx: ExtendableContext): Promise<Session | "renewed" | undefined> {
    try {
      const session = await this.#options.sessions.from(ctx).load();
      // A new session has a public id.
      if (session.publicId === undefined) return "renewed";
      return session.isNew || session.id === undefined ? undefined : session;
    } catch (error) {
      if ((error as { code?: unknown }).code === "ERR_SESSION_NO_MIDDLEWARE") return undefined;
      throw error;
    }
  }

  /** Makes a listener that of its token's session, or gives its tab a session. Never rejects. */
  async recognise(listener: LocalListener, token: string | undefined): Promise<{ token?: string }> {
    const ctx = this.#options.listeners.contextOf(listener);
    if (ctx === undefined) return {};
    const { client } = listener;
    if (client !== undefined) this.#options.names.adopt(ctx, client);
    try {
      const fresh = await (token === undefined
        ? this.#begin(listener, ctx)
        : this.#verify(listener, ctx, token));
      return fresh === undefined ? {} : { token: fresh };
    } catch (error) {
      listener.end("unavailable");
      ctx.app.emit("error", error, ctx);
      return {};
    }
  }

  async #verify(
    listener: LocalListener,
    ctx: ExtendableContext,
    token: string,
  ): Promise<string | undefined> {
    const { sessions, listeners } = this.#options;
    const received = await sessions.receive(ctx, token);
    if (received.session) await listeners.move(listener, received.session);
    else listener.end(received.closeCode === 4403 ? "renewed" : "terminated");
    return received.session && tokenIn(received.headers);
  }

  async #begin(listener: LocalListener, ctx: ExtendableContext): Promise<string | undefined> {
    const { sessions, names, listeners, tokenHeader } = this.#options;
    if (listener.session !== undefined || tokenHeader === undefined) return undefined;
    const { client } = listener;
    const made = await createTabSession(ctx, {
      ...{ sessions, tokenHeader },
      begin: (inner) => client !== undefined && names.adopt(inner, client),
    });
    if (made) await listeners.move(listener, made.session);
    return made?.token;
  }
}
