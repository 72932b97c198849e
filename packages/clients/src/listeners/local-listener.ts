import type { QueueOptions } from "@lanai/connection/queue";
import { RATE_DEFAULTS, type RateOptions } from "@lanai/connection/rate";
import { CLOSE_CODES, type EndReason } from "../end-reason.ts";
import { events } from "../events.ts";
import type { Listener, Page } from "../listener.ts";
import { EVERYONE, type TargetKey } from "../target.ts";
import type { Inbound, Sink } from "../transports/sink.ts";
import { EventIterator } from "./event-iterator.ts";
import { Incoming, type IncomingOwner } from "./incoming.ts";
import { encodeMessage, type LiveMessage, tokenMessage } from "./message.ts";
import { Outgoing, type OutgoingOwner } from "./outgoing.ts";

/** The browser, the session and the user that a listener belongs to. */
export interface Identity {
  readonly client: string | undefined;
  readonly session: string | undefined;
  readonly user: string | undefined;
}

/** The functions that all listeners of a process share. */
export interface ListenerHooks {
  recognise(listener: LocalListener, token: string | undefined): Promise<{ token?: string }>;
  /** Called once, when a listener has ended. */
  afterEnd(listener: LocalListener): void;
  /** Called with the promise of each handler of a message that takes time. */
  running(handler: Promise<unknown>): void;
  /** A handler of a message has failed. */
  failed(listener: LocalListener, error: unknown): void;
}

export interface LocalListenerOptions {
  readonly kind: string;
  readonly identity: Identity;
  readonly sink: Sink;
  readonly queue: QueueOptions;
  readonly rate: RateOptions;
  /** Whether being open is enough to keep the session from idling out. */
  readonly keepsSession: boolean;
  readonly hooks: ListenerHooks;
}

/** Shares one object among all listeners without options of their own. */
function rateOf(rate: RateOptions): Required<RateOptions> {
  return Object.keys(rate).length === 0 ? RATE_DEFAULTS : { ...RATE_DEFAULTS, ...rate };
}

type Handler = (data: never) => unknown;

/**
 * A listener of this process, from inside. Thousands are idle at a time, so that what most of them
 * never use is made when it is asked for.
 */
export class LocalListener implements Listener, OutgoingOwner, IncomingOwner {
  readonly id: string;
  readonly #options: LocalListenerOptions;
  readonly #outgoing: Outgoing;
  readonly #since = Date.now();
  /** Whether its browser has sent a message since the session was last checked. */
  wasUsed = false;
  /** Changed only while the listener isn't registered, since its keys change. */
  identity: Identity;

  #reason: EndReason | undefined;
  /** The reason of an end that has been announced and waits for the browser. */
  #draining: EndReason | undefined;
  #incoming: Incoming | undefined;
  #isSettled = false;
  #ended: PromiseWithResolvers<EndReason> | undefined;
  #controller: AbortController | undefined;
  #page: AbortController | undefined;
  #handlers: Map<string, Set<Handler>> | undefined;
  #iterators: Map<string, Set<EventIterator<unknown>>> | undefined;

  constructor(id: string, options: LocalListenerOptions) {
    this.id = id;
    this.#options = options;
    this.identity = options.identity;
    this.#outgoing = new Outgoing(options.queue, this);
  }

  get kind(): string {
    return this.#options.kind;
  }

  get keepsSession(): boolean {
    return this.#options.keepsSession;
  }

  get since(): Date {
    return new Date(this.#since);
  }

  get client(): string | undefined {
    return this.identity.client;
  }

  get session(): string | undefined {
    return this.identity.session;
  }

  get user(): string | undefined {
    return this.identity.user;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  get endReason(): EndReason | undefined {
    return this.#reason;
  }

  get ended(): Promise<EndReason> {
    if (this.#ended === undefined) {
      this.#ended = Promise.withResolvers();
      if (this.#reason) this.#ended.resolve(this.#reason);
    }
    return this.#ended.promise;
  }

  /** The targets that reach it, besides itself. */
  get keys(): readonly TargetKey[] {
    const { client, session, user } = this.identity;
    const keys: TargetKey[] = [EVERYONE];
    if (client !== undefined) keys.push(`client:${client}`);
    if (session !== undefined) keys.push(`session:${session}`);
    if (user !== undefined) keys.push(`user:${user}`);
    return keys;
  }

  // ── messages to the browser ──

  send(event: string, data?: unknown): void {
    this.deliver(encodeMessage(event, data));
  }

  /** @returns Whether the listener takes messages. */
  deliver(message: LiveMessage): boolean {
    if (this.#reason || this.#draining) return false;
    const iterators = this.#iterators?.get(message.event);
    if (iterators) for (const iterator of iterators) iterator.push(message);
    if (this.#options.sink.send) this.#outgoing.push(message);
    return true;
  }

  events<T = unknown>(
    event: string,
    options: { readonly first?: T } = {},
  ): AsyncIterableIterator<T> {
    const { limit = 256, overflow = "close" } = this.#options.queue;
    this.#iterators ??= new Map();
    const all = this.#iterators;
    const same = all.get(event) ?? new Set<EventIterator<unknown>>();
    const iterator: EventIterator<T> = new EventIterator<T>(limit, {
      full: () => {
        this.full(overflow);
        return overflow;
      },
      closed: () => {
        same.delete(iterator as EventIterator<unknown>);
        if (same.size === 0 && all.get(event) === same) all.delete(event);
      },
    });
    if ("first" in options) iterator.push(encodeMessage(event, options.first));
    if (this.#reason) iterator.close();
    else all.set(event, same.add(iterator as EventIterator<unknown>));
    return iterator;
  }

  redirect(location: string): void {
    this.send("redirect", { location });
  }

  write(message: LiveMessage): void | Promise<void> {
    return this.#options.sink.send?.(message);
  }

  full(policy: "close" | "drop-oldest"): void {
    events.emit("slow", { level: "warn", listener: this.id, reason: policy });
    if (policy === "close") this.end("slow");
  }

  failed(): void {
    this.end("failed");
  }

  // ── messages from the browser ──

  on(event: string, handler: Handler): () => void {
    if (this.#reason) return () => {};
    this.#handlers ??= new Map();
    const all = this.#handlers;
    const handlers = all.get(event) ?? new Set();
    all.set(event, handlers.add(handler));
    this.#incoming?.listened();
    return () => {
      handlers.delete(handler);
      if (handlers.size === 0 && all.get(event) === handlers) all.delete(event);
    };
  }

  /** The side of the transport: made when a transport that reads begins. */
  get inbound(): Inbound {
    if (this.#incoming === undefined) {
      this.#incoming = new Incoming(this, rateOf(this.#options.rate));
      if (this.#reason) this.#incoming.close();
      if (this.#isSettled) this.#incoming.settle();
    }
    return this.#incoming;
  }

  /** The app had its chance to add handlers. */
  settle(): void {
    this.#isSettled = true;
    this.#incoming?.settle();
  }

  isHeard(event: string): boolean {
    return this.#handlers?.has(event) ?? false;
  }

  dispatch(event: string, data: unknown): void {
    this.touch();
    for (const handler of this.#handlers?.get(event) ?? []) this.#run(handler, data);
  }

  /** Loads the session of a token. Messages after the token belong to that session. */
  async receiveToken(data: unknown): Promise<void> {
    const token = (data as { token?: unknown } | null | undefined)?.token;
    if (token !== undefined && typeof token !== "string") return this.end("malformed");
    this.deliver(tokenMessage(await this.recognise(token)));
  }

  unheard(event: string, reason: "dropped" | "held"): void {
    events.report("unheard", reason, { level: "warn", listener: this.id, event, reason });
  }

  pause(isPaused: boolean): boolean {
    const { sink } = this.#options;
    sink.pause?.(isPaused);
    return sink.pause !== undefined;
  }

  #run(handler: Handler, data: unknown): void {
    const { hooks } = this.#options;
    try {
      const result: unknown = handler(data as never);
      if (typeof (result as PromiseLike<unknown> | undefined)?.then !== "function") return;
      hooks.running(Promise.resolve(result).catch((error) => this.#handlerFailed(error)));
    } catch (error) {
      this.#handlerFailed(error);
    }
  }

  #handlerFailed(error: unknown): void {
    events.emit("error", { level: "error", listener: this.id, error });
    this.#options.hooks.failed(this, error);
  }

  // ── its life ──

  page(): Page {
    this.#page?.abort();
    const page = new AbortController();
    this.#page = page;
    if (this.#reason) page.abort();
    return { signal: page.signal, end: () => page.abort() };
  }

  recognise(token?: string): Promise<{ token?: string }> {
    if (this.#reason) return Promise.resolve({});
    this.touch();
    return this.#options.hooks.recognise(this, token);
  }

  touch(): void {
    this.wasUsed = true;
  }

  /** Informs the transport that the listener can be reached. */
  begin(): void {
    const { sink } = this.#options;
    if (sink.begin) sink.begin(this, this.inbound);
  }

  /** Passes on what has waited, in both directions. */
  open(): void {
    if (this.#reason) return;
    this.#outgoing.open();
    this.#incoming?.open();
  }

  disconnect(): void {
    this.end("disconnected");
  }

  /** Ends it after the transport has handed in what the browser sent before it knew. */
  async drain(reason: EndReason): Promise<void> {
    const { sink } = this.#options;
    if (this.#reason) return;
    if (sink.drain && this.#draining === undefined) {
      this.#draining = reason;
      this.#outgoing.close();
      try {
        await sink.drain(reason, CLOSE_CODES[reason]);
      } catch (error) {
        events.emit("error", { level: "error", listener: this.id, error });
      }
    }
    this.end(reason);
  }

  end(given: EndReason): void {
    if (this.#reason) return;
    // A browser that has been told to go leaves for that reason.
    const reason = given === "left" ? (this.#draining ?? given) : given;
    this.#reason = reason;
    this.#incoming?.close();
    this.#handlers?.clear();
    this.#outgoing.close();
    this.#page?.abort();
    this.#controller?.abort();
    for (const same of [...(this.#iterators?.values() ?? [])]) {
      for (const iterator of [...same]) iterator.close();
    }
    try {
      this.#options.sink.end(reason, CLOSE_CODES[reason]);
    } catch (error) {
      events.emit("error", { level: "error", listener: this.id, error });
    }
    this.#options.hooks.afterEnd(this);
    this.#ended?.resolve(reason);
  }
}
