import assert from "node:assert/strict";
import { once } from "node:events";
import { IncomingMessage, ServerResponse } from "node:http";
import { type AddressInfo, Socket } from "node:net";
import { parseSetCookie } from "cookie";
import type Koa from "koa";
import type { ExtendableContext } from "koa";
import type { Id } from "../../id-generator.ts";
import type { Awaitable } from "../../store.ts";
import type { PresentedToken, Tracker } from "../../tracker.ts";

/** The headers that a client sends to present an id. */
export interface Presented {
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: `/`. */
  readonly path?: string;
}

/** A tracker that was opened for one test case. */
export interface OpenedTracker {
  readonly tracker: Tracker;
  /**
   * Returns the headers by which a client presents an id. Needed if the tracker has no `present`.
   */
  present?(id: Id): Awaitable<Presented>;
  /**
   * Returns the headers that a client sends after a response in which `sent` was set, or, if
   * `undefined`, cleared. Default: the response's cookies, and what came in the headers that `vary`
   * names.
   */
  answer?(response: Headers, sent: Id | undefined): Awaitable<Presented>;
  /** Closes what was opened. */
  close?(): Awaitable<void>;
}

interface Exchanged<T> {
  readonly headers: Headers;
  readonly result: T;
}

/** An opened tracker, and what a client and an app do with it. */
export interface TrackerCase {
  readonly tracker: Tracker;
  present(id: Id): Promise<Presented>;
  answer(response: Headers, sent: Id | undefined): Promise<Presented>;
  /** One request over HTTP, and what `handle` made of it. */
  exchange<T>(
    presented: Presented,
    handle: (ctx: ExtendableContext) => T,
  ): Promise<Exchanged<Awaited<T>>>;
  /** Reads a request over HTTP by the tracker. */
  read(presented: Presented): Promise<PresentedToken | undefined>;
  /** Reads a request that no client could send, and that Node would not let pass. */
  readRaw(presented: Presented, text?: string): Promise<PresentedToken | undefined>;
  /** Every token that is read. */
  readAll(presented: Presented, text?: string): Promise<readonly PresentedToken[]>;
}

/** Completes what the author of a tracker has opened with a client of its own. */
export function complete(opened: OpenedTracker, createApp: () => Koa): TrackerCase {
  const { tracker } = opened;
  const exchange: TrackerCase["exchange"] = (presented, handle) =>
    serve(createApp(), presented, handle);
  const app = createApp();
  const readAll: TrackerCase["readAll"] = async ({ headers = {}, path = "/" }, text) => {
    const req = new IncomingMessage(new Socket());
    req.method = "GET";
    req.url = path;
    for (const [field, value] of Object.entries(headers)) req.headers[field.toLowerCase()] = value;
    const ctx = app.createContext(req, new ServerResponse(req));
    const tokens = await tracker.get(ctx, text);
    assert.deepEqual(ctx.res.getHeaderNames(), [], "reading sent headers");
    return tokens;
  };
  return {
    tracker,
    exchange,

    async present(id) {
      if (opened.present) return opened.present(id);
      assert.ok(tracker.present, "the tracker has no present, so open() must answer one");
      return { headers: await tracker.present(id, { secure: false }) };
    },

    answer: async (response, sent) =>
      opened.answer ? opened.answer(response, sent) : browse(response, fieldsOf(tracker)),

    read: async (presented) => (await exchange(presented, (ctx) => tracker.get(ctx))).result[0],

    readRaw: async (presented, text) => (await readAll(presented, text))[0],
    readAll,
  };
}

async function serve<T>(
  app: Koa,
  { headers = {}, path = "/" }: Presented,
  handle: (ctx: ExtendableContext) => T,
): Promise<Exchanged<Awaited<T>>> {
  const handled = Promise.withResolvers<Awaited<T>>();
  // A failure belongs to the test: the request that meets it gets a 500 before the test sees it.
  handled.promise.catch(() => {});
  app.silent = true;
  app.use(async (ctx) => {
    ctx.body = "";
    try {
      handled.resolve(await handle(ctx));
    } catch (error) {
      handled.reject(error);
      throw error;
    }
  });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const { port } = server.address() as AddressInfo;
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
    await response.arrayBuffer();
    return { headers: response.headers, result: await handled.promise };
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

/** A client that keeps the cookies it was sent, and sends back the headers that the server reads. */
function browse(response: Headers, fields: readonly string[]): Presented {
  const headers: Record<string, string> = {};
  const cookies = response
    .getSetCookie()
    .map((line) => parseSetCookie(line))
    .filter(({ maxAge = 1, expires = new Date() }) => maxAge > 0 && expires.getTime() > 0);
  if (cookies.length > 0) {
    headers.cookie = cookies.map((cookie) => `${cookie.name}=${cookie.value}`).join("; ");
  }
  for (const field of fields) {
    const value = response.get(field);
    if (field !== "cookie" && value) headers[field] = value;
  }
  return { headers };
}

/** Returns the request headers that bring an id, in lower case. */
export function fieldsOf({ vary = "" }: Tracker): string[] {
  return vary.split(",").flatMap((field) => field.trim().toLowerCase() || []);
}

export function idOf(tracked: PresentedToken | undefined): Id | undefined {
  return tracked?.id;
}
