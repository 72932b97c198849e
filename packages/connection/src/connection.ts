import type { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";

/** The part of a Koa context that this package needs. */
export interface ResponseContext {
  readonly res: ServerResponse;
}

type HeaderValue = number | string | readonly string[];

interface Connection {
  before?: (() => Promise<void>)[];
  left?: true;
  kept?: Map<string, HeaderValue>;
  controller?: AbortController;
  end?: () => void;
  source?: Source;
}

/** What closes when the connection of a request ends. */
interface Source extends EventEmitter {
  readonly closed?: boolean;
  /** Of a response of HTTP/2, which doesn't say itself that it has closed. */
  readonly stream?: { readonly closed: boolean };
}

/** Registered, not private: two copies of this package in one tree must share a connection. */
const CONNECTION = Symbol.for("lanai.connection");

type Held = ResponseContext & { [CONNECTION]?: Connection };

const connectionOf = (ctx: Held): Connection => (ctx[CONNECTION] ??= {});

/**
 * Registers what must happen before the response head, or the 101 of an upgrade, leaves.
 *
 * The returned function runs it now; a second call, or one after {@link leaveHead}, does nothing
 * but wait for the first. A middleware calls it when its `next()` has settled:
 *
 * ```ts
 * const leave = beforeHead(ctx, () => save(ctx));
 * try { await next(); } finally { await leave(); }
 * ```
 */
export function beforeHead(
  ctx: ResponseContext,
  fn: () => void | Promise<void>,
): () => Promise<void> {
  const connection = connectionOf(ctx);
  let run: Promise<void> | undefined;
  const leave = (): Promise<void> => {
    run ??= (async () => {
      await fn();
    })();
    return run;
  };
  connection.before ??= [];
  connection.before.push(leave);
  return leave;
}

/**
 * Runs everything registered with {@link beforeHead}, in the order in which it was registered.
 * For those who send the head themselves: an upgrade, an event stream.
 *
 * Waits for those that are under way. Rejects with the first failure, after all have run.
 */
export async function leaveHead(ctx: ResponseContext): Promise<void> {
  const connection = connectionOf(ctx);
  let failed: { error: unknown } | undefined;
  for (const leave of connection.before ?? []) {
    try {
      await leave();
    } catch (error) {
      failed ??= { error };
    }
  }
  if (failed) throw failed.error;
  connection.left = true;
}

/** Whether the head has left: sent by the response, or announced by {@link leaveHead}. */
export const headLeft = (ctx: ResponseContext): boolean =>
  ctx.res.headersSent || (ctx as Held)[CONNECTION]?.left === true;

/**
 * Runs `write`, and makes the response headers that it set outlive Koa's `onerror`, which removes
 * every header before it answers with the error. Cookies and fields of `Vary` that others set stay
 * beside those kept; any other header of theirs wins.
 */
export async function keepHeaders(
  ctx: ResponseContext,
  write: () => void | Promise<void>,
): Promise<void> {
  const { res } = ctx;
  const before = res.getHeaders();
  // Copied, because Node's appendHeader and Koa's cookies add to the array in place.
  const cookies = new Set(cookieLines(before["set-cookie"]));
  await write();
  if (res.headersSent) return;
  const connection = connectionOf(ctx);
  if (connection.kept === undefined) {
    connection.kept = new Map();
    restoreAtHead(res, connection.kept);
  }
  const { kept } = connection;
  const now = res.getHeaders();
  for (const name of Object.keys({ ...before, ...now })) {
    const value = now[name];
    if (value === undefined) kept.delete(name);
    else if (name === "set-cookie") kept.set(name, added(value, cookies, kept.get(name)));
    else if (value !== before[name]) kept.set(name, value);
  }
}

const cookieLines = (value: HeaderValue | undefined): readonly string[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [String(value)];

/** The cookies to keep: those there were, and the new ones, without what a new one replaced. */
function added(
  now: HeaderValue,
  before: ReadonlySet<string>,
  kept: HeaderValue | undefined,
): readonly string[] {
  const present = new Set(cookieLines(now));
  return [
    ...cookieLines(kept).filter((line) => present.has(line)),
    ...cookieLines(now).filter((line) => !before.has(line)),
  ];
}

/** Puts kept headers back at the last moment, whoever sends the head and whatever was removed. */
function restoreAtHead(res: ServerResponse, kept: ReadonlyMap<string, HeaderValue>): void {
  const original = res.writeHead as (...args: unknown[]) => ServerResponse;
  res.writeHead = (status: number, ...rest: unknown[]): ServerResponse => {
    const reason = typeof rest[0] === "string" ? [rest[0]] : [];
    const headers = rest.at(-1);
    if (typeof headers === "object" && headers !== null) applyHeaders(res, headers);
    for (const [name, value] of kept) {
      if (name === "set-cookie") {
        const set = cookieLines(res.getHeader(name));
        const lost = cookieLines(value).filter((line) => !set.includes(line));
        if (lost.length > 0) res.setHeader(name, [...set, ...lost]);
      } else if (!res.hasHeader(name)) {
        res.setHeader(name, value);
      } else if (name === "vary") {
        res.setHeader(name, union(String(res.getHeader(name)), String(value)));
      }
    }
    return original.call(res, status, ...reason);
  };
}

/** The fields of two `Vary` headers (RFC 9110, 12.5.5), where `*` stands for all. */
function union(present: string, kept: string): string {
  const fields = present.split(/\s*,\s*/);
  const known = new Set(fields.map((field) => field.toLowerCase()));
  if (known.has("*")) return present;
  const lost = kept.split(/\s*,\s*/).filter((field) => !known.has(field.toLowerCase()));
  return [...fields, ...lost].join(", ");
}

/** What `writeHead` does with its headers argument: an object, pairs, or a flat list. */
function applyHeaders(res: ServerResponse, headers: object): void {
  if (!Array.isArray(headers)) {
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined) res.setHeader(name, value);
    }
    return;
  }
  const flat: unknown[] = Array.isArray(headers[0]) ? headers.flat(1) : headers;
  const seen = new Set<string>();
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = String(flat[i]);
    const value = flat[i + 1] as string;
    if (seen.has(name.toLowerCase())) res.appendHeader(name, value);
    else res.setHeader(name, value);
    seen.add(name.toLowerCase());
  }
}

/**
 * An `AbortSignal` that aborts when the connection of this request ends: when its response closes
 * (finished, or the client left), or, once {@link followSocket} was called, when that socket does.
 *
 * The end is read from the response: after a body parser the request never emits `close`.
 */
export function connectionSignal(ctx: ResponseContext): AbortSignal {
  const connection = connectionOf(ctx);
  if (connection.controller === undefined) {
    const controller = new AbortController();
    connection.controller = controller;
    connection.end = () => controller.abort();
    connection.source ??= ctx.res;
    endWith(connection.source, connection.end);
  }
  return connection.controller.signal;
}

/** From here on the connection ends with `socket` (an upgraded one), not with the response. */
export function followSocket(ctx: ResponseContext, socket: Source): void {
  const connection = connectionOf(ctx);
  if (connection.end !== undefined) {
    connection.source?.off("close", connection.end);
    endWith(socket, connection.end);
  }
  connection.source = socket;
}

function endWith(source: Source, end: () => void): void {
  if (source.closed ?? source.stream?.closed) end();
  else source.once("close", end);
}
