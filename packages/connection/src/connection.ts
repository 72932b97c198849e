import type { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";

/** The part of a Koa context that this package needs. */
export interface ResponseContext {
  readonly res: ServerResponse;
}

type HeaderValue = number | string | readonly string[];

/** The state that a request keeps for the packages which use its response and its connection. */
interface ConnectionState {
  before?: (() => Promise<void>)[];
  left?: true;
  kept?: Map<string, HeaderValue>;
  onCacheable?: (header: string) => void;
  controller?: AbortController;
  /** The functions to call when the connection ends. */
  ends?: (() => void)[];
  source?: Closable;
}

/** The object that closes when the connection of a request ends. */
interface Closable extends EventEmitter {
  readonly closed?: boolean;
  /** The stream of an HTTP/2 response, which doesn't report itself that it has closed. */
  readonly stream?: { readonly closed: boolean };
}

/** Registered, not private: two copies of this package in one tree must share a connection. */
const CONNECTION = Symbol.for("lanai.connection");

type ContextWithConnection = ResponseContext & { [CONNECTION]?: ConnectionState };

const connectionOf = (ctx: ContextWithConnection): ConnectionState => (ctx[CONNECTION] ??= {});

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
  // One literal: an array that grows from none takes room for 17.
  if (connection.before === undefined) connection.before = [leave];
  else connection.before.push(leave);
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
  ctx.res.headersSent || (ctx as ContextWithConnection)[CONNECTION]?.left === true;

/**
 * Runs `write`, and makes the response headers that it set outlive Koa's `onerror`, which removes
 * every header before it responds with the error. Cookies and fields of `Vary` that others set stay
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
  const kept = keptOf(ctx);
  const now = res.getHeaders();
  for (const name of Object.keys({ ...before, ...now })) {
    const value = now[name];
    if (value === undefined) kept.delete(name);
    else if (name === "set-cookie") kept.set(name, added(value, cookies, kept.get(name)));
    else if (value !== before[name]) kept.set(name, value);
  }
}

function keptOf(ctx: ResponseContext): Map<string, HeaderValue> {
  const connection = connectionOf(ctx);
  if (connection.kept === undefined) {
    connection.kept = new Map();
    changeAtHead(ctx.res, connection, connection.kept);
  }
  return connection.kept;
}

/**
 * Keeps shared caches from storing the response, which holds a secret of its client, whatever the app
 * sets until the head leaves (RFC 9111, 5.2.2.5 and 5.2.2.7). `Cache-Control` becomes `no-store` unless
 * it is `private` or `no-store` already, and the headers that speak to particular caches are removed.
 *
 * @param onReplaced - Called for each header that allowed caching, with its name.
 */
export function forbidSharedCaching(
  ctx: ResponseContext,
  onReplaced: (header: string) => void,
): void {
  keptOf(ctx);
  connectionOf(ctx).onCacheable ??= onReplaced;
}

/** The headers that caches obey before, or instead of, `Cache-Control`. */
const CACHE_HEADERS = [
  "Expires",
  "X-Accel-Expires",
  "CDN-Cache-Control",
  "Surrogate-Control",
  "Cloudflare-CDN-Cache-Control",
  "Vercel-CDN-Cache-Control",
  "Netlify-CDN-Cache-Control",
  "Edge-Control",
];

/** The directives of a `Cache-Control` header, in lower case. One with fields forbids those only. */
const directivesOf = (value: unknown): Set<string> =>
  new Set(
    String(value)
      .toLowerCase()
      .split(",")
      .map((directive) => directive.trim()),
  );

function isPrivate(value: unknown): boolean {
  const directives = directivesOf(value);
  if (!directives.has("private") && !directives.has("no-store")) return false;
  return !directives.has("public") && ![...directives].some((it) => it.startsWith("s-maxage"));
}

function keepFromCaches(res: ServerResponse, onReplaced: (header: string) => void): void {
  const control = res.getHeader("Cache-Control");
  const isAllowed = control !== undefined && !isPrivate(control);
  if (isAllowed) onReplaced("Cache-Control");
  if (isAllowed || control === undefined) res.setHeader("Cache-Control", "no-store");
  const isOwn = !isAllowed && directivesOf(control).has("private");
  for (const name of CACHE_HEADERS) {
    const value = res.getHeader(name);
    if (value === undefined || isPrivate(value)) continue;
    // The browser's own cache may keep what is private, and a date in the past keeps nothing.
    if (name === "Expires" && (isOwn || !(Date.parse(String(value)) > Date.now()))) continue;
    res.removeHeader(name);
    onReplaced(name);
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
function changeAtHead(
  res: ServerResponse,
  connection: ConnectionState,
  kept: ReadonlyMap<string, HeaderValue>,
): void {
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
    if (connection.onCacheable) keepFromCaches(res, connection.onCacheable);
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

/** Applies the headers argument of `writeHead`: an object, pairs, or a flat list. */
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
    onConnectionEnd(ctx, () => controller.abort());
  }
  return connection.controller.signal;
}

/** Calls `end` when the connection ends, as {@link connectionSignal} aborts then, for less memory. */
export function onConnectionEnd(ctx: ResponseContext, end: () => void): void {
  const connection = connectionOf(ctx);
  connection.source ??= ctx.res;
  connection.ends ??= [];
  connection.ends.push(end);
  endWith(connection.source, end);
}

/** From here on the connection ends with `socket` (an upgraded one), not with the response. */
export function followSocket(ctx: ResponseContext, socket: Closable): void {
  const connection = connectionOf(ctx);
  for (const end of connection.ends ?? []) {
    connection.source?.off("close", end);
    endWith(socket, end);
  }
  connection.source = socket;
}

function endWith(source: Closable, end: () => void): void {
  if (source.closed ?? source.stream?.closed) end();
  // Emitted once: a `once` would keep a wrapper for each.
  else source.on("close", end);
}
