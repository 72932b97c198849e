import type { EventEmitter } from "node:events";
import { within } from "./client.ts";

/** How something is subscribed: a channel, a pattern, or a channel of one node of a cluster. */
export type Kind = "subscribe" | "psubscribe" | "ssubscribe";

/** Who wants to hear a channel. */
export interface Listener {
  message(channel: string, data: Buffer): void;
  /** What is published from now on will come. */
  wired(): void;
  /** It no longer will; it is tried again. */
  lost(): void;
  /** Redis doesn't allow it. */
  refused(error: Error): void;
}

type Command = (...names: string[]) => Promise<unknown>;

/** A connection of its own, as ioredis makes it. */
export interface Subscriber extends EventEmitter, Record<Kind | Unsubscribe, Command> {
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
} as const satisfies Record<Kind, Unsubscribe>;

const KINDS = ["subscribe", "psubscribe", "ssubscribe"] as const;

/** What is wanted of a connection; without a listener it is to be taken back. */
interface Wire {
  readonly kind: Kind;
  readonly name: string;
  listener: Listener | undefined;
  state: "new" | "asked" | "wired";
  /** Resolves when it has been taken back. */
  gone: PromiseWithResolvers<void>;
}

/** How many names one command carries. */
const AT_ONCE = 500;
const LEAST_DELAY = 50;
const MOST_DELAY = 2_000;

export interface LinkOptions {
  /** Makes a connection, not yet connected; `undefined` if there is nowhere to connect to. */
  readonly open: () => Subscriber | undefined;
  /** Whether something belongs to another link by now, which has then been given it. */
  readonly moves: (kind: Kind, name: string, listener: Listener) => boolean;
  /** How often it is asked whether it lives, in milliseconds. */
  readonly pingInterval: number;
  /** For how long its answer is awaited. */
  readonly timeout: number;
  readonly onUp: () => void;
  readonly onDown: () => void;
}

/**
 * A connection that is only for subscribing. What is wanted is kept here, and asked for again on
 * each new connection: ioredis's own resubscribing says neither when it is done nor that it failed.
 */
export class Link {
  readonly #options: LinkOptions;
  readonly #wires = {
    subscribe: new Map<string, Wire>(),
    psubscribe: new Map<string, Wire>(),
    ssubscribe: new Map<string, Wire>(),
  };
  #connection: Subscriber | undefined;
  #isReady = false;
  #attempts = 0;
  /** What has changed since it was asked for last. */
  readonly #pending = new Set<Wire>();
  #isFlushing = false;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** How much is asked for or there. */
  get size(): number {
    return KINDS.reduce((sum, kind) => sum + this.#wires[kind].size, 0);
  }

  add(kind: Kind, name: string, listener: Listener): void {
    const { [kind]: wires } = this.#wires;
    let wire = wires.get(name);
    if (wire) {
      // It was to be taken back, and has not been yet.
      wire.listener = listener;
      wire.gone.resolve();
      wire.gone = Promise.withResolvers();
      if (wire.state === "wired") {
        queueMicrotask(() => wire?.listener === listener && listener.wired());
      }
    } else {
      wire = { kind, name, listener, state: "new", gone: Promise.withResolvers() };
      wires.set(name, wire);
    }
    this.#changed(wire);
  }

  /** Resolves when it has been taken back, or is wanted again, or the connection is lost. */
  async remove(kind: Kind, name: string): Promise<void> {
    const wire = this.#wires[kind].get(name);
    if (!wire) return;
    wire.listener = undefined;
    this.#changed(wire);
    await wire.gone.promise;
  }

  close(): void {
    this.#isClosed = true;
    this.#isReady = false;
    clearTimeout(this.#timer);
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.disconnect();
    for (const wire of this.#all()) wire.gone.resolve();
  }

  /** Gives the connection up and takes a new one. */
  reconnect(): void {
    if (this.#connection) this.#lost(this.#connection);
  }

  *#all(): Generator<Wire> {
    for (const kind of KINDS) yield* this.#wires[kind].values();
  }

  #changed(wire: Wire): void {
    if (this.#isClosed) {
      wire.gone.resolve();
      return;
    }
    this.#pending.add(wire);
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
    for (const wire of [...this.#all()]) {
      const { kind, name, listener } = wire;
      if (!listener || this.#options.moves(kind, name, listener)) this.#forget(wire);
    }
    const connection = this.#options.open();
    if (!connection) {
      this.#tryAgain();
      return;
    }
    this.#connection = connection;
    const { subscribe, psubscribe, ssubscribe } = this.#wires;
    // ioredis makes what a listener throws an uncaught exception: ours don't throw.
    connection.on("error", () => {});
    const tell = (wire: Wire | undefined, channel: string, data: Buffer) => {
      if (connection === this.#connection) wire?.listener?.message(channel, data);
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
    for (const wire of this.#all()) this.#pending.add(wire);
    this.#flush();
    this.#watch(connection);
  }

  #lost(connection: Subscriber): void {
    if (connection !== this.#connection) return;
    this.#connection = undefined;
    clearTimeout(this.#timer);
    // Not awaited: its end may never be told.
    connection.disconnect();
    const wasReady = this.#isReady;
    this.#isReady = false;
    if (wasReady) this.#options.onDown();
    for (const wire of [...this.#all()]) {
      const { state, listener } = wire;
      wire.state = "new";
      if (listener === undefined) this.#forget(wire);
      else if (state === "wired") listener.lost();
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
    for (const wire of unwanted) {
      if (wire.state === "new") this.#forget(wire);
      else this.#wires[wire.kind].delete(wire.name);
    }
    const asked = unwanted.filter(({ state }) => state !== "new");
    for (const wires of commands(asked)) this.#unsubscribe(wires);
    const wanted = pending.filter(({ listener, state }) => listener && state === "new");
    for (const wires of commands(wanted)) this.#subscribe(wires);
  }

  #unsubscribe(wires: Wires): void {
    const connection = this.#connection as Subscriber;
    const forget = () => {
      for (const wire of wires) this.#forget(wire);
    };
    const [{ kind }] = wires;
    connection[OPPOSITE[kind]](...wires.map(({ name }) => name)).then(forget, forget);
  }

  #subscribe(wires: Wires): void {
    const connection = this.#connection as Subscriber;
    const [{ kind }] = wires;
    for (const wire of wires) wire.state = "asked";
    const isOurs = (wire: Wire) =>
      connection === this.#connection && this.#wires[kind].get(wire.name) === wire;
    connection[kind](...wires.map(({ name }) => name)).then(
      () => {
        for (const wire of wires.filter(isOurs)) {
          wire.state = "wired";
          wire.listener?.wired();
        }
      },
      (error: Error) => {
        if (!/^NOPERM|^ERR unknown command/.test(error.message)) return this.#lost(connection);
        // One of them is refused; the others are not to suffer for it.
        for (const wire of wires.filter(isOurs)) {
          if (wires.length > 1) {
            this.#subscribe([wire]);
          } else {
            this.#forget(wire);
            wire.listener?.refused(error);
          }
        }
      },
    );
  }

  #forget(wire: Wire): void {
    const { [wire.kind]: wires } = this.#wires;
    if (wires.get(wire.name) === wire) wires.delete(wire.name);
    wire.gone.resolve();
  }
}

type Wires = readonly [Wire, ...Wire[]];

/** In as few commands as it takes; channels of two slots can't be in one. */
const commands = (wires: readonly Wire[]): readonly Wires[] => {
  const list: Wires[] = [];
  for (const kind of KINDS) {
    const size = kind === "ssubscribe" ? 1 : AT_ONCE;
    const some = wires.filter((wire) => wire.kind === kind);
    for (let n = 0; n < some.length; n += size) list.push(some.slice(n, n + size) as [Wire]);
  }
  return list;
};
