import { CLOSE_CODES, type EndReason } from "./end-reason.ts";
import { report } from "./events.ts";
import { encodeMessage, type LiveMessage } from "./message.ts";
import { Outgoing, type QueueOptions } from "./outgoing.ts";
import { Tap } from "./tap.ts";
import type { TargetKey } from "./target.ts";

/** How a listener is written to and closed: what a transport brings. */
export interface Sink {
  /**
   * Writes a message. A promise: it wants no more until that settles; a rejection ends the listener.
   * Without it, messages reach {@link Listener.events} alone.
   */
  send?(message: OutgoingMessage): void | Promise<void>;
  /** Called once the listener can be reached: for a transport that brings messages. */
  begin?(listener: Listener): void;
  /** Closes the connection. From here on nothing that comes in counts. Called once. */
  end(reason: EndReason, code: number): void;
}

export interface OutgoingMessage {
  readonly event: string;
  /** The data, as JSON. */
  readonly json: string;
  /** Both, as the plain WebSocket wire has them: `{ "event", "data" }`. */
  readonly frame: string;
}

/** What one page of a single-page app has subscribed. */
export interface Page {
  /** Aborts when the page ends, or the listener: give it as `signal` to what you subscribe. */
  readonly signal: AbortSignal;
  end(): void;
}

/** One live connection: a tab's WebSocket or event stream. */
export interface Listener {
  readonly id: string;
  /** `websocket`, `event-stream`, `graphql`, or what `attach` was given. */
  readonly kind: string;
  readonly since: Date;
  /** The public id of its browser. */
  readonly client: string | undefined;
  /** The public id of its session. */
  readonly session: string | undefined;
  /** Who is signed in. */
  readonly user: string | undefined;
  /** Aborts when the listener ends. */
  readonly signal: AbortSignal;
  readonly endReason: EndReason | undefined;
  /** Resolves when the listener has ended; it never rejects. */
  readonly ended: Promise<EndReason>;
  /** Sends to this listener alone. Once it has ended, nothing happens. */
  send(event: string, data?: unknown): void;
  /**
   * Calls `handler` with the data of each message of that name from the browser, in the order in
   * which they came. The data is what a stranger wrote: check it. What it throws goes to the app's
   * `error` event.
   *
   * @returns A function that stops it.
   */
  on(event: string, handler: (data: unknown) => unknown): () => void;
  /**
   * What is sent to this listener under that name from now on, also from another process. Its
   * `return` settles at once, unlike that of an async generator that waits for an event.
   *
   * @param options - `first`: yielded before all, such as the state as it is now.
   */
  events<T = unknown>(event: string, options?: { readonly first?: T }): AsyncIterableIterator<T>;
  /** Opens the scope of a page, and ends that of the page before. The connection stays. */
  page(): Page;
  /**
   * Has the browser go to another page: sends `redirect` with `{ location }`.
   *
   * @throws TypeError for anything but a path of this site or an address of http or https.
   */
  redirect(location: string): void;
  /**
   * The session that a token names which came over this connection: from here on the listener belongs
   * to it, and ends with it. Without a token, a browser's tab that has no session gets one, where
   * `tokenHeader` is set. A token that is refused ends the listener.
   *
   * @returns The token to use from now on, where that is another.
   */
  recognise(token?: string): Promise<{ readonly token?: string }>;
  /** Tells that the browser has said something, for `idle: 'messages'`. */
  touch(): void;
  /** Ends it: the browser does not come back. */
  disconnect(): void;
}

/** Whom a listener belongs to. */
export interface Identity {
  readonly client: string | undefined;
  readonly session: string | undefined;
  readonly user: string | undefined;
}

export interface ListenerHooks {
  recognise(listener: LocalListener, token: string | undefined): Promise<{ token?: string }>;
  /** Called once, when it has ended. */
  ended(listener: LocalListener): void;
  /** A handler of a message has failed. */
  failed(error: unknown): void;
}

export interface LocalListenerOptions {
  readonly id: string;
  readonly kind: string;
  readonly identity: Identity;
  readonly sink: Sink;
  readonly queue: QueueOptions;
  /** Whether being open is enough to keep the session from idling out. */
  readonly keepsSession: boolean;
  readonly hooks: ListenerHooks;
}

/** A listener of this process, from inside. */
export class LocalListener implements Listener {
  readonly id: string;
  readonly kind: string;
  readonly since: Date = new Date();
  readonly ended: Promise<EndReason>;
  readonly keepsSession: boolean;
  /** Whether its browser has sent a message since this was last looked at. */
  wasUsed = false;

  #identity: Identity;
  #reason: EndReason | undefined;
  #resolveEnded!: (reason: EndReason) => void;
  #page: AbortController | undefined;
  #held: (() => void)[] | undefined = [];
  readonly #sink: Sink;
  readonly #hooks: ListenerHooks;
  readonly #queue: QueueOptions;
  readonly #outgoing: Outgoing;
  readonly #controller = new AbortController();
  readonly #handlers = new Map<string, Set<(data: unknown) => unknown>>();
  readonly #taps = new Map<string, Set<Tap<unknown>>>();

  constructor(options: LocalListenerOptions) {
    const { id, kind, identity, sink, queue, keepsSession, hooks } = options;
    this.id = id;
    this.keepsSession = keepsSession;
    this.kind = kind;
    this.#identity = identity;
    this.#sink = sink;
    this.#hooks = hooks;
    this.#queue = queue;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    this.#outgoing = new Outgoing(queue, {
      send: (message) => sink.send?.(message),
      full: (policy) => this.#full(policy),
      failed: () => this.end("failed"),
    });
  }

  get client(): string | undefined {
    return this.#identity.client;
  }

  get session(): string | undefined {
    return this.#identity.session;
  }

  get user(): string | undefined {
    return this.#identity.user;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get endReason(): EndReason | undefined {
    return this.#reason;
  }

  /** By what it can be reached. */
  get keys(): readonly TargetKey[] {
    const { client, session, user } = this.#identity;
    const keys: TargetKey[] = [`listener:${this.id}`];
    if (client !== undefined) keys.push(`client:${client}`);
    if (session !== undefined) keys.push(`session:${session}`);
    if (user !== undefined) keys.push(`user:${user}`);
    return keys;
  }

  get identity(): Identity {
    return this.#identity;
  }

  /** Only while it isn't registered: its keys change. */
  set identity(identity: Identity) {
    this.#identity = identity;
  }

  send(event: string, data?: unknown): void {
    this.deliver(encodeMessage(event, data));
  }

  deliver(message: LiveMessage): void {
    if (this.#reason) return;
    for (const tap of this.#taps.get(message.event) ?? []) tap.push(message);
    if (this.#sink.send) this.#outgoing.push(message);
  }

  on(event: string, handler: (data: unknown) => unknown): () => void {
    if (this.#reason) return () => {};
    const handlers = this.#handlers.get(event) ?? new Set();
    this.#handlers.set(event, handlers.add(handler));
    return () => {
      handlers.delete(handler);
      if (handlers.size === 0) this.#handlers.delete(event);
    };
  }

  events<T = unknown>(
    event: string,
    options: { readonly first?: T } = {},
  ): AsyncIterableIterator<T> {
    const taps = this.#taps.get(event) ?? new Set<Tap<unknown>>();
    const tap: Tap<T> = new Tap<T>(this.#queue.limit ?? 256, {
      full: () => {
        const policy = this.#queue.overflow ?? "close";
        this.#full(policy);
        return policy;
      },
      closed: () => {
        taps.delete(tap as Tap<unknown>);
        if (taps.size === 0 && this.#taps.get(event) === taps) this.#taps.delete(event);
      },
    });
    if ("first" in options) tap.push(encodeMessage(event, options.first));
    if (this.#reason) tap.close();
    else this.#taps.set(event, taps.add(tap as Tap<unknown>));
    return tap;
  }

  page(): Page {
    this.#page?.abort();
    const page = new AbortController();
    this.#page = page;
    if (this.#reason) page.abort();
    return { signal: page.signal, end: () => page.abort() };
  }

  redirect(location: string): void {
    this.send("redirect", { location: checkLocation(location) });
  }

  recognise(token?: string): Promise<{ token?: string }> {
    if (this.#reason) return Promise.resolve({});
    this.touch();
    return this.#hooks.recognise(this, token);
  }

  touch(): void {
    this.wasUsed = true;
  }

  disconnect(): void {
    this.end("disconnected");
  }

  /** Runs `work` for a message from the browser: now, in turn, or never if the listener has ended. */
  receive(work: () => void): void {
    if (this.#reason) return;
    if (this.#held) this.#held.push(work);
    else work();
  }

  /** Hands a message from the browser to those who listen. */
  dispatch(event: string, data: unknown): void {
    if (this.#reason) return;
    this.touch();
    for (const handler of this.#handlers.get(event) ?? []) void this.#run(handler, data);
  }

  async #run(handler: (data: unknown) => unknown, data: unknown): Promise<void> {
    try {
      await handler(data);
    } catch (error) {
      report("error", { level: "error", listener: this.id, error });
      this.#hooks.failed(error);
    }
  }

  /** What comes in waits, in its order, until {@link LocalListener.release}. */
  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const [i, work] of held.entries()) {
      if (this.#held !== undefined) {
        // One of them had the rest wait again.
        (this.#held as (() => void)[]).push(...held.slice(i));
        return;
      }
      if (this.#reason) return;
      work();
    }
  }

  /** Lets go what has waited, in both directions. */
  open(): void {
    if (this.#reason) return;
    this.#outgoing.open();
    this.release();
  }

  end(reason: EndReason): void {
    if (this.#reason) return;
    this.#reason = reason;
    this.#held = undefined;
    this.#handlers.clear();
    this.#outgoing.close();
    this.#page?.abort();
    this.#controller.abort();
    for (const taps of [...this.#taps.values()]) for (const tap of [...taps]) tap.close();
    try {
      this.#sink.end(reason, CLOSE_CODES[reason]);
    } catch (error) {
      report("error", { level: "error", listener: this.id, error });
    }
    this.#hooks.ended(this);
    this.#resolveEnded(reason);
  }

  #full(policy: "close" | "drop-oldest"): void {
    report("slow", { level: "warn", listener: this.id, reason: policy });
    if (policy === "close") this.end("slow");
  }
}

/** A browser runs what a `javascript:` address says, and `//host` leaves the site. */
function checkLocation(location: string): string {
  const isPath = /^\/(?![/\\])/.test(location);
  const protocol = URL.parse(location)?.protocol;
  if ((isPath || protocol === "http:" || protocol === "https:") && !/\p{Cc}/u.test(location)) {
    return location;
  }
  throw new TypeError(
    "redirect(location) takes a path that begins with one /, or an address of http or https",
  );
}
