import { connectionSignal, leaveHead } from "@lanai/connection";
import { handshakeProblem, UPGRADE_HEADERS } from "@lanai/connection/upgrade";
import type { ExtendableContext, Next } from "koa";
import { SseError } from "./errors.ts";
import { events } from "./events.ts";
import { isEventId, type SseEvent } from "./frame.ts";
import {
  type CloseOptions,
  type SseOptions,
  type SseStreamOptions,
  settingsOf,
  validate,
  validateClose,
  validateStream,
} from "./options.ts";
import { SseStream } from "./sse-stream.ts";

declare module "koa" {
  interface ExtendableContext {
    /**
     * Responds with a stream of server-sent events, where `sse()` is mounted: runs what must happen
     * before the head leaves (a session's save), sends the head and resolves. The stream goes on while
     * the connection does.
     *
     * @param source - Its events are sent as fast as the client takes them, and it is ended with the
     *   connection; when it ends, so does the stream. Without one, call `send`.
     * @throws SseError `ERR_SSE_UPGRADE_LOST` (426) in a request that is a WebSocket handshake, and
     *   `ERR_SSE_SENT` after the response head has left.
     */
    sse(source?: AsyncIterable<SseEvent>, options?: SseStreamOptions): Promise<SseStream>;
    /**
     * The id of the last event that this client received, where `sse()` is mounted: from
     * `Last-Event-ID`, else from the query.
     *
     * @throws SseError `ERR_SSE_LAST_EVENT_ID` (400) for an id that no server can have sent.
     */
    readonly lastEventId: string | undefined;
  }
}

/** The middleware, and the streams that it made. */
export interface Sse {
  (ctx: ExtendableContext, next: Next): Promise<void>;
  /** The streams that are open. */
  readonly streams: ReadonlySet<SseStream>;
  /**
   * Ends all streams, and each new one at once: a client is asked to come back, and its request then
   * reaches another process. Resolves when all have ended. A new stream is a 200 and never a 503, after
   * which an `EventSource` wouldn't reconnect.
   *
   * @throws TypeError or RangeError for a wrong option.
   */
  close(options?: CloseOptions): Promise<void>;
}

const HEADERS = {
  "Content-Type": "text/event-stream; charset=utf-8",
  // Compression would hold events back, as would nginx's buffer.
  "Cache-Control": "no-store, no-transform",
  "X-Accel-Buffering": "no",
};

/**
 * Server-sent events, for the whole app, a group of routes or one route.
 *
 * @throws TypeError or RangeError for an option that doesn't exist or is out of range.
 */
export function sse(options: SseOptions = {}): Sse {
  validate(options);
  const mounted: SseOptions = { ...options };
  const { lastEventIdQuery = "lastEventId" } = mounted;
  const streams = new Set<SseStream>();
  let closing: { readonly over: number } | undefined;

  const end = (stream: SseStream, over: number) =>
    stream.end({ retry: 1_000 + Math.round(Math.random() * over) });

  const open = async (ctx: ExtendableContext, asked: SseStreamOptions): Promise<SseStream> => {
    validateStream(asked);
    mustBeNoHandshake(ctx);
    const settings = settingsOf(asked, mounted);
    await sendHead(ctx);
    const stream = new SseStream(ctx.res, connectionSignal(ctx), settings);
    endWithErrors(ctx, stream);
    if (ctx.method === "HEAD") {
      stream.end();
    } else {
      // Something at once: some proxies hold the head back until there is a body.
      if (settings.retry === undefined) stream.comment("");
      else stream.send({ retry: settings.retry });
      if (closing) end(stream, closing.over);
    }
    if (!stream.isOver) {
      streams.add(stream);
      void stream.ended.then(() => streams.delete(stream));
    }
    return stream;
  };

  const feed = async (
    ctx: ExtendableContext,
    source: AsyncIterable<SseEvent>,
    asked: SseStreamOptions,
  ): Promise<SseStream> => {
    const iterator = iteratorOf(source);
    let stream: SseStream;
    try {
      stream = await open(ctx, asked);
    } catch (error) {
      stop(iterator);
      throw error;
    }
    sendFirstCursor(source, stream);
    pump(iterator, stream).catch((error) => {
      ctx.app.emit("error", error, ctx);
      stream.end();
    });
    return stream;
  };

  let prepared: object | undefined;
  const middleware = async (ctx: Mounted, next: Next): Promise<void> => {
    // All contexts of an app inherit from one object: the accessor is defined there, once.
    const context: object = Object.getPrototypeOf(ctx);
    if (context !== prepared) {
      Object.defineProperty(context, "lastEventId", LAST_EVENT_ID);
      prepared = context;
    }
    ctx[QUERY] = lastEventIdQuery;
    ctx.sse = (source, asked = {}) =>
      source === undefined ? open(ctx, asked) : feed(ctx, source, asked);
    await next();
  };

  return Object.assign(middleware, {
    streams,
    async close(closeOptions: CloseOptions = {}) {
      validateClose(closeOptions);
      const { over = 5_000 } = closeOptions;
      closing = { over };
      const open = [...streams];
      for (const stream of open) end(stream, over);
      await Promise.all(open.map((stream) => stream.ended));
    },
  });
}

/** A browser that opens a WebSocket can't read a stream, and must not count as somebody who does. */
function mustBeNoHandshake(ctx: ExtendableContext): void {
  const message = handshakeProblem(ctx.req);
  if (message === undefined) return;
  events.report("upgrade-lost", "upgrade-lost", { level: "warn", message });
  throw new SseError("ERR_SSE_UPGRADE_LOST", message, {
    status: 426,
    expose: true,
    headers: UPGRADE_HEADERS,
  });
}

/** Headers of another body, and a cache's own rules, which override `Cache-Control` (RFC 9213). */
const REMOVED = [
  "Content-Length",
  "Content-Encoding",
  "ETag",
  "Last-Modified",
  "Expires",
  "CDN-Cache-Control",
  "Cloudflare-CDN-Cache-Control",
  "Surrogate-Control",
];

async function sendHead(ctx: ExtendableContext): Promise<void> {
  ctx.status = 200;
  await leaveHead(ctx);
  if (ctx.res.headersSent) throw sent();
  // After whatever else writes headers last, such as a session.
  for (const name of REMOVED) ctx.remove(name);
  ctx.set(HEADERS);
  ctx.respond = false;
  ctx.res.flushHeaders();
}

const sent = () =>
  new SseError("ERR_SSE_SENT", "the response has been sent: await ctx.sse() in the handler, once");

/** Ends the stream of a handler that fails after the head has left: nobody would send to it. */
function endWithErrors(ctx: ExtendableContext, stream: SseStream): void {
  const report = ctx.onerror;
  ctx.onerror = (error) => {
    // Koa takes a lost connection for a failure of the app.
    if (error == null || error === ctx.req.socket.errored) return;
    stream.end();
    report.call(ctx, error);
  };
}

function iteratorOf(source: AsyncIterable<SseEvent>): AsyncIterator<SseEvent> {
  if (typeof source?.[Symbol.asyncIterator] === "function") return source[Symbol.asyncIterator]();
  throw new TypeError(`ctx.sse: the source must be an async iterable, got ${typeof source}`);
}

async function pump(iterator: AsyncIterator<SseEvent>, stream: SseStream): Promise<void> {
  // Not left to the loop, which waits for an event that may never come.
  void stream.ended.then(() => stop(iterator));
  while (!stream.isOver) {
    const { done, value } = await iterator.next();
    if (done) return stream.end();
    if (!stream.send(value)) await stream.drained();
  }
}

/** A source that says where it began, as the `events` of pub/sub do. */
interface Resumable {
  readonly subscription?: PromiseLike<{ readonly cursor?: string | undefined } | undefined>;
}

/**
 * Sends the cursor at which a source began, unless an event has come before: a client that loses the
 * connection before its first event then resumes there, and misses nothing either.
 */
function sendFirstCursor(source: AsyncIterable<SseEvent>, stream: SseStream): void {
  const { subscription } = source as Resumable;
  if (typeof subscription?.then !== "function") return;
  const send = (begun: { readonly cursor?: string | undefined } | undefined): void => {
    // An event that the source has counted already is sent by now.
    setImmediate(() => {
      if (isEventId(begun?.cursor) && !stream.hasSentId) stream.send({ id: begun.cursor });
    });
  };
  // Why it failed is for the reader of the source.
  subscription.then(send, () => {});
}

/** Ends a source whose stream is over; an error of its clean-up concerns nobody. */
function stop(iterator: AsyncIterator<SseEvent>): void {
  const returned = async () => iterator.return?.();
  returned().catch(() => {});
}

/** Registered, so that two copies of this package in one tree read each other's contexts. */
const QUERY = Symbol.for("lanai.sse.lastEventIdQuery");

/** A context; where `sse()` is mounted, with the query parameter that stands for `Last-Event-ID`. */
type Mounted = ExtendableContext & { [QUERY]?: string | false };

const LAST_EVENT_ID: PropertyDescriptor & ThisType<Mounted> = {
  configurable: true,
  get() {
    const { [QUERY]: query } = this;
    return query === undefined ? undefined : lastEventId(this, query);
  },
};

function lastEventId(ctx: ExtendableContext, query: string | false): string | undefined {
  const header = ctx.get("Last-Event-ID");
  // Node takes headers for Latin-1, and browsers send UTF-8.
  const id = header === "" ? query && ctx.query[query] : Buffer.from(header, "latin1").toString();
  if (id === undefined || id === false || id === "") return undefined;
  if (isEventId(id)) return id;
  throw new SseError("ERR_SSE_LAST_EVENT_ID", "This last event id is not one of ours.", {
    status: 400,
    expose: true,
  });
}
