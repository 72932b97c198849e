import { LineError } from "./errors.ts";
import type { Host, HostResponse, Socket, Transport } from "./host.ts";
import { INITIAL, type Input, next, type State } from "./machine.ts";
import { type Frame, LocalRoom, type Room, type RoomHost } from "./room.ts";
import type { JoinArguments, Pattern, Server } from "./types.ts";

/** Options of `connect`. A browser that has a session in a cookie needs none. */
export interface ConnectOptions {
  /** The calls that wait while there is no connection. */
  readonly queue?: {
    /** The most that wait in a room. Default: 100. */
    readonly limit?: number;
    /** Whether the new call or the oldest one rejects with `ERR_QUEUE_FULL`. Default: `reject`. */
    readonly overflow?: "reject" | "drop-oldest";
  };
  /**
   * The session's token, if tokens travel in a header instead of a cookie. With `true` the server makes
   * a session for this tab. Default: none.
   */
  readonly token?: string | true;
  /**
   * Where the token is kept: in memory, or in the tab's `sessionStorage`, which survives a reload and
   * which every script of the page can read. Default: `memory`.
   */
  readonly keepToken?: "memory" | "sessionStorage";
  /** The header in which {@link Line.fetch} sends and receives the token. Default: `Session-ID`. */
  readonly tokenHeader?: string;
  /** The transport if no WebSocket gets through: `fallback` of `@lanai/browser/fallback`. Default: none. */
  readonly fallback?: Transport;
  /** One connection for all tabs of the site: `share` of `@lanai/browser/share`. Default: one for each tab. */
  readonly share?: Transport;
  /** The page, or a stand-in for tests: sockets, timers, clocks, `fetch`. Default: `globalThis`. */
  readonly host?: Host;
}

/** Options of `line.join`. */
export interface JoinOptions {
  /** The most retained messages that the first join receives. Default: 0. */
  readonly replay?: number;
}

/**
 * - `connecting`: the connection is being made.
 * - `open`: what is sent arrives.
 * - `waiting`: it was lost; the next attempt comes at a random time.
 * - `paused`: the page is frozen or in the back/forward cache.
 * - `ended`: it doesn't come back: `line.error` says why.
 */
export type LineState = Exclude<State["name"], "probing">;

/** The events of a line, with their arguments, for `line.on`. */
export interface LineEvents {
  /** The connection has another state. */
  state: LineState;
  /** A message that the server sent by `clients.send`. */
  message: { readonly event: string; readonly data: unknown };
  /** The session has another token. */
  token: string;
}

/** One connection to the server, which comes back by itself. */
export interface Line<S extends Server> {
  /** The state of the connection: `ended` is final. */
  readonly state: LineState;
  /** The reason for its end. */
  readonly error: LineError | undefined;
  /** The session's token: send it with the app's own requests, or use {@link Line.fetch}. */
  readonly token: string | undefined;
  /**
   * Joins a channel. The same channel again is the same room, and the options of its first join hold.
   */
  join<P extends Pattern<S>>(pattern: P, ...rest: JoinArguments<P, JoinOptions>): Room<S, P>;
  /** @returns A function that stops it. */
  on<K extends keyof LineEvents>(name: K, handler: (data: LineEvents[K]) => unknown): () => void;
  /** `fetch` with the session's token, for addresses of the line's own origin; takes a fresh token. */
  fetch<R = HostResponse>(url: string, options?: object): Promise<R>;
  /** Ends the line and its rooms. Calls reject: with `ERR_OUTCOME_UNKNOWN` if sent, else with `ERR_CLOSED`. */
  close(): void;
}

/** A request to extend the connection of a device-bound session: see `@lanai/session-bound`. */
interface Extension {
  /** The path that takes the request. */
  readonly path: string;
  readonly proof: string;
  /** When to send it, in milliseconds from now. */
  readonly in: number;
}

const PROTOCOL = "lanai.channels.2";
/** The timeout of a socket's opening, of the question why it failed, and of a pong, in milliseconds. */
const PATIENCE = 10_000;
/** The timeout of a pong after the page has woken up, in milliseconds. */
const WAKE_PATIENCE = 3_000;
/** The time after which a connection counts as one that lasts, in milliseconds. */
const LASTING = 6_000;
/** A timer that is so late, in milliseconds, says that the machine has slept. */
const SLEPT = 15_000;
/** The codes that were reported already. */
const reported = new Set<string>();

const encode = (text: string): string =>
  encodeURIComponent(text).replace(
    /[.!~*'()]/g,
    (it) => `%${it.charCodeAt(0).toString(16).toUpperCase()}`,
  );

const keyOf = (pattern: string, params: Readonly<Record<string, string>>): string =>
  pattern
    .split(".")
    .map((part) => (part.startsWith(":") ? encode(String(params[part.slice(1)])) : part))
    .join(".");

/**
 * Opens the one connection of a page.
 *
 * @param url - The live address, such as `/live`, or a whole one of http, https, ws or wss.
 * @throws TypeError for what is no address.
 */
export function connect<S extends Server = Server>(
  url: string,
  options: ConnectOptions = {},
): Line<S> {
  const host = options.host ?? (globalThis as unknown as Host);
  const { fallback, share, keepToken, tokenHeader = "Session-ID" } = options;
  const { limit = 100, overflow = "reject" } = options.queue ?? {};
  const address = new host.URL(url, host.location?.href);
  const http = address.href.replace(/^ws/, "http");
  const ws = address.href.replace(/^http/, "ws");
  const Main = share ? share(host) : host.WebSocket;
  const Other = fallback?.(host);
  const storage = keepToken === "sessionStorage" ? host.sessionStorage : undefined;
  const slot = `lanai:${address.href}`;
  const rooms = new Map<string, LocalRoom>();
  const handlers = new Map<string, Set<(data: never) => unknown>>();
  const date = host.Date ?? Date;
  const random = host.random ?? Math.random;
  let state: State = INITIAL;
  let error: LineError | undefined;
  let token = storage?.getItem(slot) ?? (options.token === true ? undefined : options.token);
  let socket: Socket | undefined;
  let isOther = false;
  let timer: unknown;
  let stopLife: (() => void) | undefined;
  let ping = 25_000;
  let window = 60_000;
  let max = 65_536;

  const report = (it: unknown): void => host.console.error(it);
  const shown = (): LineState => (state.name === "probing" ? "connecting" : state.name);
  const emit = (name: string, data: unknown): void => {
    for (const handler of handlers.get(name) ?? []) {
      try {
        handler(data as never);
      } catch (failure) {
        report(failure);
      }
    }
  };
  const after = (ms: number, fn: () => void): (() => void) => {
    const it = host.setTimeout(fn, ms);
    return () => host.clearTimeout(it as never);
  };
  const sendText = (text: string): boolean => {
    if (state.name !== "open" || !socket) return false;
    socket.send(text);
    return true;
  };
  const send = (frame: object): boolean => sendText(JSON.stringify(frame));
  /** Waits for a sign of life. */
  const expect = (patience: number): void => {
    stopLife?.();
    stopLife = after(patience, () => step({ name: "silent" }));
  };
  const check = (patience: number): void => {
    if (send({ t: "ping" })) expect(patience);
  };
  /** Something has come: the next is due after `ping`, or asked for. */
  const alive = (): void => {
    stopLife?.();
    const due = date.now() + ping;
    // A timer that is late has slept with the machine, and nobody may be there any more.
    stopLife = after(ping, () => check(date.now() - due > SLEPT ? WAKE_PATIENCE : PATIENCE));
  };
  const drop = (): void => {
    stopLife?.();
    const old = socket;
    socket = undefined;
    if (!old) return;
    old.onopen = old.onmessage = old.onclose = null;
    old.close();
  };
  const open = (): void => {
    drop();
    const it = new ((isOther && Other) || Main)(ws, [PROTOCOL]);
    socket = it;
    it.onmessage = ({ data }) => {
      if (socket !== it) return;
      alive();
      try {
        receive(JSON.parse(String(data)) as Frame);
      } catch (failure) {
        report(failure);
      }
    };
    it.onerror = () => {};
    it.onclose = ({ code }) => {
      if (socket !== it) return;
      drop();
      step({ name: "closed", code });
    };
    expect(PATIENCE);
  };
  /** A POST: it has an `Origin`, which is checked as that of the handshake was. */
  const probe = async (): Promise<void> => {
    const abort = host.AbortController && new host.AbortController();
    const stop = after(PATIENCE, () => abort?.abort());
    const response = await host
      .fetch(http, {
        signal: abort?.signal,
        ...{ method: "POST", credentials: "include", cache: "no-store", redirect: "manual" },
        headers: token ? { [tokenHeader]: token } : {},
      })
      .catch(() => undefined);
    stop();
    const retryAfter = Number(response?.headers?.get("Retry-After")) * 1_000 || 0;
    step({
      ...{ name: "probed", status: response?.status ?? 0, retryAfter },
      hasOther: Other !== undefined,
    });
  };

  const take = (fresh: string | null | undefined): void => {
    if (!fresh || fresh === token) return;
    token = fresh;
    storage?.setItem(slot, fresh);
    emit("token", fresh);
  };

  /**
   * Extends the connection of a device-bound session: before the request the browser proves its device,
   * which it does for no page that only holds a connection. What isn't extended closes, and comes back.
   */
  const extendLater = ({ path, proof, in: wait }: Extension): void => {
    const extended = socket;
    const extend = async (): Promise<void> => {
      if (socket !== extended) return;
      const headers = { "Lanai-Listener": proof };
      const response = await host
        .fetch(new host.URL(path, http).href, { method: "POST", credentials: "include", headers })
        .catch(() => undefined);
      if (!response?.ok) return;
      const { in: next } = (await response.json()) as Pick<Extension, "in">;
      extendLater({ path, proof, in: next });
    };
    after(Math.max(wait, 1_000), () => void extend().catch(report));
  };

  const receive = (frame: Frame): void => {
    const { t, k, e, d } = frame;
    if (t === "welcome") {
      ping = Number(frame.ping) || ping;
      window = Number(frame.window) || window;
      max = Number(frame.max) || max;
      step({ name: "opened" });
      const opened = socket;
      after(LASTING, () => socket === opened && step({ name: "lasted" }));
      // What follows belongs to the session of the token.
      if (token || options.token) send({ t: "session", token });
      for (const room of rooms.values()) room.join();
    } else if (t === "message") {
      if (e === "bound") extendLater(d as Extension);
      else if (e !== "bound.extended") emit("message", { event: e, data: d });
    } else if (t === "session") {
      take(frame.token as string | undefined);
    } else if (t === "result" || t === "failed") {
      for (const room of rooms.values()) if (room.answer(frame)) return;
    } else {
      const key = k ?? (frame.p && keyOf(String(frame.p), frame.a as Record<string, string>));
      const room = rooms.get(String(key));
      if (room) room.receive(frame);
      else if (t === "left" && frame.i) send({ t: "ack", i: frame.i });
    }
  };

  const step = (input: Input): void => {
    const before = shown();
    const [now, effects] = next(state, input, random());
    state = now;
    if (before === "open" && now.name !== "open") {
      for (const room of rooms.values()) room.interrupt();
    }
    for (const effect of effects) {
      if (effect.do === "open") open();
      else if (effect.do === "drop") drop();
      else if (effect.do === "probe") void probe();
      else if (effect.do === "check") check(WAKE_PATIENCE);
      else if (effect.do === "switch") isOther = !isOther;
      else if (effect.do === "cancel") host.clearTimeout(timer as never);
      else if (effect.do === "wait")
        timer = host.setTimeout(() => step({ name: "timer" }), effect.ms);
    }
    if (before === shown()) return;
    if (state.name === "ended") end(state.code);
    emit("state", shown());
  };

  const end = (code: string): void => {
    const ended = new LineError(code, address.pathname);
    error = ended;
    if (code === "ERR_SIGNED_OUT") storage?.removeItem(slot);
    if (code !== "ERR_CLOSED" && !reported.has(ended.message)) report(ended);
    reported.add(ended.message);
    for (const room of [...rooms.values()]) room.end(ended);
    listen("removeEventListener");
  };

  const pause = (): void => step({ name: "pause" });
  const resume = (): void => step({ name: "resume" });
  const wake = (): void => {
    if (host.document?.visibilityState !== "hidden") step({ name: "wake" });
  };
  /** Another network may let through what the last one didn't. */
  const online = (): void => {
    if (state.name === "waiting") isOther = false;
    wake();
  };
  const offline = (): void => check(WAKE_PATIENCE);
  const listen = (how: "addEventListener" | "removeEventListener"): void => {
    host[how]?.("online", online);
    host[how]?.("offline", offline);
    host[how]?.("pagehide", pause);
    host[how]?.("pageshow", resume);
    host.document?.[how]?.("visibilitychange", wake);
    host.document?.[how]?.("freeze", pause);
    host.document?.[how]?.("resume", resume);
  };
  listen("addEventListener");
  open();

  const hostOf = (key: string): RoomHost => ({
    ...{ send: sendText, after, report, random, queue: { limit, overflow } },
    now: () => [host.performance.now(), date.now()],
    newId: () =>
      [...host.crypto.getRandomValues(new Uint8Array(16))]
        .map((it) => it.toString(16).padStart(2, "0"))
        .join(""),
    get window() {
      return window;
    },
    get max() {
      return max;
    },
    left: () => rooms.delete(key),
  });

  return {
    get state() {
      return shown();
    },
    get error() {
      return error;
    },
    get token() {
      return token;
    },
    join(pattern, ...[params = {} as never, { replay = 0 } = {}]) {
      const key = keyOf(pattern, params);
      let room = rooms.get(key);
      if (!room) {
        room = new LocalRoom(key, { p: pattern, a: params, n: replay }, hostOf(key));
        if (error) room.end(error);
        else rooms.set(key, room);
        if (state.name === "open") room.join();
      }
      return room as never;
    },
    on(name, handler) {
      const known = handlers.get(name) ?? new Set();
      handlers.set(name, known.add(handler));
      return () => void known.delete(handler);
    },
    async fetch(input, init = {}) {
      const target = new host.URL(input, http);
      const isOwn = target.origin === new host.URL(http).origin;
      if (!isOwn) return host.fetch(target.href, init) as never;
      const { headers } = init as { headers?: Record<string, string> };
      const response = await host.fetch(target.href, {
        ...init,
        headers: { ...headers, ...(token && { [tokenHeader]: token }) },
      });
      take(response.headers?.get(tokenHeader));
      return response as never;
    },
    close: () => step({ name: "close" }),
  };
}
