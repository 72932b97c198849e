import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import {
  createSessions,
  memoryStore,
  requireSession,
  type Sessions,
  type SessionsOptions,
  type Store,
} from "@lanai/session";
import { type JwtTrackerOptions, jwtTracker } from "@lanai/session-jwt";
import Koa from "koa";
import { ISSUER, SECRET } from "./tokens.ts";

export interface TokenSite extends AsyncDisposable {
  readonly url: string;
  readonly sessions: Sessions;
  /** What the app's `error` event told. */
  readonly errors: unknown[];
  now(): number;
  /** Lets time go by, for the tokens and the store alike. */
  advance(ms: number): void;
  visitor(token?: string): Visitor;
}

export interface TokenSiteOptions extends Partial<JwtTrackerOptions> {
  readonly sessions?: SessionsOptions;
  /** Stands before the store. */
  readonly wrap?: (store: Store) => Store;
  /** Makes a store for this site alone. Default: in memory. */
  readonly store?: () => Store;
}

/**
 * An app on tokens: `/` tells who asks, `/sign-in` and `/sign-out` do so, `/visit` counts in a session,
 * and behind `/private` only those with a session come.
 */
export async function tokenSite(options: TokenSiteOptions = {}): Promise<TokenSite> {
  const { sessions: more, store, wrap = (inner) => inner, ...tracking } = options;
  // It stands still, so that a slow machine is never too late.
  let now = Date.now();
  const clock = () => now;
  const sessions = createSessions({
    store: wrap(store?.() ?? memoryStore({ clock })),
    tracker: jwtTracker({
      issuer: ISSUER,
      clock,
      ...(tracking.keys === undefined && { secret: SECRET }),
      ...tracking,
    }),
    ...more,
  });
  const errors: unknown[] = [];
  const app = new Koa();
  app.on("error", (error) => errors.push(error));
  app.use(sessions.middleware());
  app.use(async (ctx, next) => {
    if (ctx.path === "/sign-in") ctx.session.login("ada");
    if (ctx.path === "/stay") ctx.session.persist(30 * 24 * 60 * 60_000);
    if (ctx.path === "/fail") ctx.throw(418, "no coffee");
    if (ctx.path === "/sign-out") await ctx.session.destroy();
    if (ctx.path === "/visit") await ctx.session.update("visits", (n) => Number(n ?? 0) + 1);
    if (ctx.path.startsWith("/private")) return requireSession()(ctx, next);
    return next();
  });
  app.use((ctx) => {
    ctx.body = { user: ctx.session.userId ?? "nobody", visits: ctx.session.getInt("visits") };
  });

  // Node refuses long headers itself, with a 431: what gets past another server must be refused too.
  const handle = app.callback();
  const server = createServer({ maxHeaderSize: 4 * 1024 * 1024 }, (req, res) => {
    void handle(req, res);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    sessions,
    errors,
    now: clock,
    advance(ms) {
      now += ms;
    },
    visitor: (token) => new Visitor(url, token),
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  /** The fresh token, `""` if it is to be forgotten, `undefined` if none came. */
  readonly token: string | undefined;
  /** Who it took the visitor for. */
  readonly user: string | undefined;
}

/** Sends these headers as they are, several of a name too. */
export async function send(
  url: string,
  headers: Readonly<Record<string, string | string[]>> = {},
): Promise<Answer> {
  const sent = request(url, { headers, agent: false });
  sent.end();
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    sent.once("response", resolve);
    sent.once("error", reject);
  });
  const body = await text(response);
  const token = response.headers["session-id"];
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body,
    token: Array.isArray(token) ? token.join() : token,
    user: body.startsWith("{") ? JSON.parse(body).user : undefined,
  };
}

/** One holder of a token: sends it, and keeps the fresh one. */
class Visitor {
  token: string | undefined;
  readonly #url: string;

  constructor(url: string, token?: string) {
    this.#url = url;
    this.token = token;
  }

  /** Sends the token; the answer is kept only by {@link Visitor.get}. */
  ask(path: string): Promise<Answer> {
    return send(this.#url + path, this.token === undefined ? {} : { "Session-ID": this.token });
  }

  async get(path: string): Promise<Answer> {
    const answer = await this.ask(path);
    if (answer.token !== undefined) this.token = answer.token || undefined;
    return answer;
  }

  async signIn(): Promise<this> {
    await this.get("/sign-in");
    return this;
  }
}
