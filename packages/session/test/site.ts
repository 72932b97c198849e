import { createHash } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import {
  createSessions,
  type MemoryStore,
  memoryStore,
  type SessionEvent,
  type Sessions,
  type SessionsOptions,
} from "@lanai/session";
import Koa, { type Context, type Middleware } from "koa";
import { Browser, type Served, serve } from "./http.ts";
import { type SteeredStore, steeredStore } from "./steered-store.ts";

/** The name of a session in a store, worked out apart from the code under test. */
export const keyOf = (id: string): string =>
  `${id.slice(0, 2)}.${createHash("sha256").update(id).digest("base64url")}`;

export type Routes = Readonly<Record<string, (ctx: Context) => unknown>>;

export interface SiteOptions extends SessionsOptions {
  readonly App?: typeof Koa;
  /** Middleware outside the session's, and inside. */
  readonly above?: Middleware;
  readonly below?: Middleware;
  /** How often the session is mounted. Default: 1. */
  readonly mounts?: number;
}

/** An app with sessions, a handler for each path, and all that a law speaks of, laid open. */
export interface Site extends Served {
  readonly sessions: Sessions;
  readonly store: SteeredStore;
  readonly memory: MemoryStore;
  /** What the app's `error` event told. */
  readonly errors: unknown[];
  browser(): Browser;
  /** Lets time go by, as the store sees it. */
  advance(ms: number): void;
}

export async function site(routes: Routes, options: SiteOptions = {}): Promise<Site> {
  const { App = Koa, above, below, mounts = 1, ...others } = options;
  // It stands still, so that a slow machine is never too late.
  let now = Date.now();
  const memory = memoryStore({ clock: () => now });
  const store = steeredStore(memory);
  const sessions = createSessions({ store, ...others });
  const errors: unknown[] = [];

  const app = new App();
  app.on("error", (error) => errors.push(error));
  if (above) app.use(above);
  for (let level = 0; level < mounts; level++) app.use(sessions.middleware());
  if (below) app.use(below);
  app.use(async (ctx) => {
    const answer = await routes[ctx.path]?.(ctx);
    if (answer !== undefined) ctx.body = answer;
    else if (ctx.path in routes && ctx.status === 404 && ctx.respond !== false) ctx.status = 204;
  });
  const served = await serve(app);
  return {
    ...served,
    sessions,
    store,
    memory,
    errors,
    browser: () => new Browser(served),
    advance(ms) {
      now += ms;
    },
  };
}

/** `site`, for the tests of a group that runs on both majors of Koa. */
export const siteOn =
  (App: typeof Koa): typeof site =>
  (routes, options) =>
    site(routes, { App, ...options });

/** What the package tells on its diagnostics channels until it is disposed. */
export interface Heard extends Disposable {
  readonly events: { readonly name: string; readonly event: SessionEvent }[];
  names(): string[];
}

const EVENTS = ["created", "renewed", "destroyed", "gone", "dropped", "refused", "unavailable"];

export function listen(): Heard {
  const events: Heard["events"][number][] = [];
  const listeners = EVENTS.map((name) => {
    const listener = (event: unknown) => void events.push({ name, event: event as SessionEvent });
    subscribe(`lanai:session:${name}`, listener);
    return () => unsubscribe(`lanai:session:${name}`, listener);
  });
  return {
    events,
    names: () => events.map(({ name }) => name),
    [Symbol.dispose]: () => {
      for (const stop of listeners) stop();
    },
  };
}
