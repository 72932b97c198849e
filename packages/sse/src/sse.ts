import { connectionSignal, leaveHead } from "@lanai/connection";
import type { ExtendableContext, Next } from "koa";
import { SseError } from "./errors.ts";
import { EventStream, type StreamSettings } from "./event-stream.ts";
import { isEventId, type SseEvent } from "./frame.ts";
import { type EventStreamOptions, type SseOptions, validate, validateStream } from "./options.ts";

declare module "koa" {
  interface ExtendableContext {
    /**
     * Answers with a stream of server-sent events, where `sse()` is mounted: runs what must happen
     * before the head leaves (a session's save) and sends the head. Resolves then; the stream goes on
     * while the connection does.
     *
     * @param source - Its events are sent as fast as the client takes them, and it is ended with the
     *   connection; when it ends, so does the stream. Without one, call `send`.
     */
    sse(source?: AsyncIterable<SseEvent>, options?: EventStreamOptions): Promise<EventStream>;
    /**
     * The id of the last event that this client got, where `sse()` is mounted: from `Last-Event-ID`,
     * else from the query.
     *
     * @throws SseError `ERR_SSE_LAST_EVENT_ID` (400) for what no server can have sent.
     */
    readonly lastEventId: string | undefined;
  }
}

/** A middleware, and the streams that it made. */
export interface Sse {
  (ctx: ExtendableContext, next: Next): Promise<void>;
  /** Those that are open. */
  readonly streams: ReadonlySet<EventStream>;
  /**
   * Ends all streams, and each new one at once; resolves when they have ended. Never a 503, which
   * makes an `EventSource` give up.
   *
   * @param options - `over`: each client is asked to come back after a second and a random part of so
   *   many milliseconds, so that not all come at once. Default: 5,000.
   */
  close(options?: { readonly over?: number }): Promise<void>;
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
 * @throws TypeError or RangeError for an option that doesn't exist or can't be.
 */
export function sse(options: SseOptions = {}): Sse {
  validate(options);
  const { heartbeat = 15_000, retry, maxBuffered = 1024 * 1024, overflow = "close" } = options;
  const { lastEventIdQuery = "lastEventId", closeTimeout = 1_000 } = options;
  const streams = new Set<EventStream>();
  let closing: { readonly over: number } | undefined;

  const end = (stream: EventStream, over: number) =>
    stream.end({ retry: 1_000 + Math.round(Math.random() * over) });

  const open = async (ctx: ExtendableContext, asked: EventStreamOptions): Promise<EventStream> => {
    validateStream(asked);
    const settings: StreamSettings = {
      heartbeat: asked.heartbeat ?? heartbeat,
      maxBuffered: asked.maxBuffered ?? maxBuffered,
      overflow: asked.overflow ?? overflow,
      closeTimeout,
    };
    const first = asked.retry ?? retry;
    await sendHead(ctx);
    const stream = new EventStream(ctx.res, connectionSignal(ctx), settings);
    endWithErrors(ctx, stream);
    if (ctx.method === "HEAD") {
      stream.end();
    } else {
      // Something at once: some proxies hold the head back until there is a body.
      if (first === undefined) stream.comment("");
      else stream.send({ retry: first });
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
    asked: EventStreamOptions,
  ): Promise<EventStream> => {
    const events = iteratorOf(source);
    let stream: EventStream;
    try {
      stream = await open(ctx, asked);
    } catch (error) {
      stop(events);
      throw error;
    }
    pump(events, stream).catch((error) => {
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
    async close({ over = 5_000 } = {}) {
      closing = { over };
      const open = [...streams];
      for (const stream of open) end(stream, over);
      await Promise.all(open.map((stream) => stream.ended));
    },
  });
}

async function sendHead(ctx: ExtendableContext): Promise<void> {
  ctx.status = 200;
  for (const name of ["Content-Length", "Content-Encoding", "ETag"]) ctx.remove(name);
  ctx.set(HEADERS);
  await leaveHead(ctx);
  if (ctx.res.headersSent) throw sent();
  ctx.respond = false;
  ctx.res.flushHeaders();
}

const sent = () =>
  new SseError("ERR_SSE_SENT", "the response has been sent: await ctx.sse() in the handler, once");

/** A handler that fails after the head has left would leave a stream that nobody feeds. */
function endWithErrors(ctx: ExtendableContext, stream: EventStream): void {
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

async function pump(events: AsyncIterator<SseEvent>, stream: EventStream): Promise<void> {
  // Not left to the loop, which waits for an event that may never come.
  void stream.ended.then(() => stop(events));
  while (!stream.isOver) {
    const { done, value } = await events.next();
    if (done) return stream.end();
    if (!stream.send(value)) await stream.drained();
  }
}

/** Tells a source that nobody listens any more; how it takes that is its own affair. */
function stop(events: AsyncIterator<SseEvent>): void {
  events.return?.().catch(() => {});
}

/** Registered, so that two copies of this package in one tree read each other's contexts. */
const QUERY = Symbol.for("lanai.sse.lastEventIdQuery");

/** A context, and where `sse()` is mounted the query parameter that stands for `Last-Event-ID`. */
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
