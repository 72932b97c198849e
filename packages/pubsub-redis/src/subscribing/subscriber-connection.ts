import type { EventEmitter } from "node:events";
import { within } from "../redis/client.ts";

/** The command to subscribe by: to a channel, a pattern, or a channel of one node of a cluster. */
export type ChannelKind = "subscribe" | "psubscribe" | "ssubscribe";

/** Hears a channel. Nothing here throws. */
export interface ChannelListener {
  message(channel: string, data: Buffer): void;
  /** Called when everything that is published from now on will be received. */
  subscribed(): void;
  /** It no longer comes; the connection is made again. */
  lost(): void;
  /** Redis doesn't allow it. */
  refused(error: Error): void;
}

type Command = (...names: string[]) => Promise<unknown>;

/** A connection of its own, as ioredis makes it. */
export interface Subscriber extends EventEmitter, Record<ChannelKind | Unsubscribe, Command> {
  readonly status: string;
  connect(): Promise<void>;
  disconnect(): void;
  ping(): Promise<unknown>;
}

type Unsubscribe = "unsubscribe" | "punsubscribe" | "sunsubscribe";

const OPPOSITE = {
  subscribe: "unsubscribe",
  psubscribe: "punsubscribe",
  ssubscribe: "sunsubscribe",
} as const satisfies Record<ChannelKind, Unsubscribe>;

const KINDS = ["subscribe", "psubscribe", "ssubscribe"] as const;

/** A channel that is wanted of a connection; without a listener it is to be unsubscribed. */
interface ChannelRequest {
  readonly kind: ChannelKind;
  readonly name: string;
  listener: ChannelListener | undefined;
  state: "new" | "asked" | "subscribed";
  /** Resolves when it has been unsubscribed. */
  gone: PromiseWithResolvers<void>;
}

/** The number of names in one command. */
const AT_ONCE = 500;
const LEAST_DELAY = 50;
const MOST_DELAY = 2_000;

export interface SubscriberConnectionOptions {
  /** Makes a connection, not yet connected; `undefined` if there is nowhere to connect to. */
  readonly open: () => Subscriber | undefined;
  /** Whether a channel belongs to another connection by now, which has then been given it. */
  readonly moves: (kind: ChannelKind, name: string, listener: ChannelListener) => boolean;
  /** Between two checks whether the connection lives, in milliseconds. */
  readonly pingInterval: number;
  /** The timeout of a command, in milliseconds. */
  readonly timeout: number;
  readonly onUp: () => void;
  readonly onDown: () => void;
}

/**
 * A connection that is only for subscribing. What is wanted is kept here, and asked for again on
 * each new connection: ioredis's own resubscribing says neither when it is done nor that it failed.
 */
export class SubscriberConnection {
  readonly #options: SubscriberConnectionOptions;
  readonly #requests = {
    subscribe: new Map<string, ChannelRequest>(),
    psubscribe: new Map<string, ChannelRequest>(),
    ssubscribe: new Map<string, ChannelRequest>(),
  };
  #connection: Subscriber | undefined;
  #isReady = false;
  #attempts = 0;
  /** Channels that were subscribed or unsubscribed since the last commands were sent. */
  readonly #pending = new Set<ChannelRequest>();
  #isFlushing = false;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: SubscriberConnectionOptions) {
    this.#options = options;
  }

  /** The number of channels that are wanted. */
  get size(): number {
    return KINDS.reduce((sum, kind) => sum + this.#requests[kind].size, 0);
  }

  add(kind: ChannelKind, name: string, listener: ChannelListener): void {
    const { [kind]: requests } = this.#requests;
    let request = requests.get(name);
    if (request) {
      // It was to be unsubscribed, and has not been yet.
      request.listener = listener;
      request.gone.resolve();
      request.gone = Promise.withResolvers();
      if (request.state === "subscribed") {
        queueMicrotask(() => request?.listener === listener && listener.subscribed());
      }
    } else {
      request = { kind, name, listener, state: "new", gone: Promise.withResolvers() };
      requests.set(name, request);
    }
    this.#changed(request);
  }

  /** Resolves when the channel is unsubscribed, or wanted again, or the connection is lost. */
  async remove(kind: ChannelKind, name: string): Promise<void> {
    const request = this.#requests[kind].get(name);
    if (!request) return;
    request.listener = undefined;
    this.#changed(request);
    await request.gone.promise;
  }

  /** Resolves when all has come that was published before the call, as far as this server had it. */
  async fence(): Promise<void> {
    if (!this.#connection || !this.#isReady) throw new Error("the connection is lost");
    await within(this.#options.timeout, this.#connection.ping());
  }

  close(): void {
    this.#isClosed = true;
    this.#isReady = false;
    clearTimeout(this.#timer);
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.disconnect();
    for (const request of this.#all()) request.gone.resolve();
  }

  *#all(): Generator<ChannelRequest> {
    for (const kind of KINDS) yield* this.#requests[kind].values();
  }

  #changed(request: ChannelRequest): void {
    if (this.#isClosed) {
      request.gone.resolve();
      return;
    }
    this.#pending.add(request);
    if (!this.#connection && this.#timer === undefined) this.#connect();
    if (!this.#isReady || this.#isFlushing) return;
    this.#isFlushing = true;
    // With all that comes in this turn.
    queueMicrotask(() => {
      this.#isFlushing = false;
      if (this.#isReady) this.#flush();
    });
  }

  #connect(): void {
    this.#timer = undefined;
    for (const request of [...this.#all()]) {
      const { kind, name, listener } = request;
      if (!listener || this.#options.moves(kind, name, listener)) this.#forget(request);
    }
    const connection = this.#options.open();
    if (!connection) {
      this.#tryAgain();
      return;
    }
    this.#connection = connection;
    const { subscribe, psubscribe, ssubscribe } = this.#requests;
    // ioredis makes what a listener throws an uncaught exception: ours don't throw.
    connection.on("error", () => {});
    const tell = (request: ChannelRequest | undefined, channel: string, data: Buffer) => {
      if (connection === this.#connection) request?.listener?.message(channel, data);
    };
    connection.on("messageBuffer", (channel: Buffer, data: Buffer) => {
      const name = channel.toString();
      tell(subscribe.get(name), name, data);
    });
    connection.on("pmessageBuffer", (pattern: string, channel: Buffer, data: Buffer) => {
      tell(psubscribe.get(pattern), channel.toString(), data);
    });
    connection.on("smessageBuffer", (channel: Buffer, data: Buffer) => {
      const name = channel.toString();
      tell(ssubscribe.get(name), name, data);
    });
    const lost = () => this.#lost(connection);
    connection.once("close", lost);
    // A channel has moved to another node.
    connection.once("moved", lost);
    within(this.#options.timeout, connection.connect()).then(() => this.#ready(connection), lost);
  }

  #ready(connection: Subscriber): void {
    if (connection !== this.#connection) return;
    this.#isReady = true;
    this.#attempts = 0;
    this.#options.onUp();
    for (const request of this.#all()) this.#pending.add(request);
    this.#flush();
    this.#watch(connection);
  }

  #lost(connection: Subscriber): void {
    if (connection !== this.#connection) return;
    this.#connection = undefined;
    clearTimeout(this.#timer);
    // Not awaited: it may never be reported that the connection has ended.
    connection.disconnect();
    const wasReady = this.#isReady;
    this.#isReady = false;
    if (wasReady) this.#options.onDown();
    for (const request of [...this.#all()]) {
      const { state, listener } = request;
      request.state = "new";
      if (listener === undefined) this.#forget(request);
      else if (state === "subscribed") listener.lost();
    }
    this.#tryAgain();
  }

  #tryAgain(): void {
    if (this.#isClosed) return;
    const delay = Math.min(MOST_DELAY, LEAST_DELAY * 2 ** this.#attempts) * (0.5 + Math.random());
    this.#attempts = Math.min(this.#attempts + 1, 10);
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  /** A connection may look well for minutes after its other end has gone. */
  #watch(connection: Subscriber): void {
    const { pingInterval, timeout } = this.#options;
    this.#timer = setTimeout(() => {
      within(timeout, connection.ping()).then(
        () => connection === this.#connection && this.#watch(connection),
        () => this.#lost(connection),
      );
    }, pingInterval);
  }

  #flush(): void {
    const pending = [...this.#pending];
    this.#pending.clear();
    const unwanted = pending.filter(({ listener }) => listener === undefined);
    for (const request of unwanted) {
      if (request.state === "new") this.#forget(request);
      else this.#requests[request.kind].delete(request.name);
    }
    const asked = unwanted.filter(({ state }) => state !== "new");
    for (const requests of commandsFor(asked)) this.#unsubscribe(requests);
    const wanted = pending.filter(({ listener, state }) => listener && state === "new");
    for (const requests of commandsFor(wanted)) this.#subscribe(requests);
  }

  #unsubscribe(requests: ChannelRequests): void {
    const connection = this.#connection as Subscriber;
    const forget = () => {
      for (const request of requests) this.#forget(request);
    };
    const [{ kind }] = requests;
    connection[OPPOSITE[kind]](...requests.map(({ name }) => name)).then(forget, forget);
  }

  #subscribe(requests: ChannelRequests): void {
    const connection = this.#connection as Subscriber;
    const [{ kind }] = requests;
    for (const request of requests) request.state = "asked";
    const isOurs = (request: ChannelRequest) =>
      connection === this.#connection && this.#requests[kind].get(request.name) === request;
    connection[kind](...requests.map(({ name }) => name)).then(
      () => {
        for (const request of requests.filter(isOurs)) {
          request.state = "subscribed";
          request.listener?.subscribed();
        }
      },
      (error: Error) => {
        if (!/^NOPERM|^ERR unknown command/.test(error.message)) return this.#lost(connection);
        // One of them is refused; the others are not to suffer for it.
        for (const request of requests.filter(isOurs)) {
          if (requests.length > 1) {
            this.#subscribe([request]);
          } else {
            this.#forget(request);
            request.listener?.refused(error);
          }
        }
      },
    );
  }

  #forget(request: ChannelRequest): void {
    const { [request.kind]: requests } = this.#requests;
    if (requests.get(request.name) === request) requests.delete(request.name);
    request.gone.resolve();
  }
}

type ChannelRequests = readonly [ChannelRequest, ...ChannelRequest[]];

/**
 * Groups channels into as few commands as it takes; channels of two slots can't be in one. Those of
 * streams come first: whoever hears a plain message must hear the streams that it may leave or enter.
 */
function commandsFor(all: readonly ChannelRequest[]): readonly ChannelRequests[] {
  const isStream = ({ name }: ChannelRequest) => name.includes("$stream:");
  const requests = [...all.filter(isStream), ...all.filter((it) => !isStream(it))];
  const list: ChannelRequests[] = [];
  for (const kind of KINDS) {
    const size = kind === "ssubscribe" ? 1 : AT_ONCE;
    const some = requests.filter((request) => request.kind === kind);
    for (let n = 0; n < some.length; n += size)
      list.push(some.slice(n, n + size) as [ChannelRequest]);
  }
  return list;
}
