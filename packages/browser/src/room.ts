import { LineError } from "./errors.ts";
import type { EventsOf, InputsOf, MetaOf, OutputsOf, Pattern, Server } from "./types.ts";

/** Messages of a room that the page missed and can't recover: what was shown may be incomplete. */
export interface Gap {
  /**
   * - `cursor`: the page's position can't be resumed: the stream was lost, or has removed that message.
   * - `expired`: the stream has removed the missed messages.
   * - `reconnect`: nothing retains the channel, so messages that were published meanwhile are lost.
   * - `overflow`: the page, or the server, was too slow for the messages that came.
   */
  readonly reason: "cursor" | "expired" | "reconnect" | "overflow";
  /** The number of missing messages, if it is known. */
  readonly count?: number;
}

/** A person in a channel with presence. */
export interface Member<Meta> {
  /** The same for all tabs of one person. */
  readonly id: string;
  /** The result of the channel's `presence` for this person. */
  readonly data: Meta;
}

/**
 * The events of a room that the library emits, with their arguments. A room also emits those of its
 * channel.
 */
export interface RoomEvents<Meta> {
  /** The room was joined, for the first time or again. */
  joined: undefined;
  /** Messages are missing here, and can't be recovered. */
  gap: Gap;
  /** The people in the channel, whenever they have changed. */
  members: readonly Member<Meta>[];
  /** The page may not join the channel, or has lost the right to be in it. */
  left: LineError;
}

/** Options of one `room.call`. */
export interface CallOptions {
  /** The longest wait for a result, in milliseconds. Default: 30,000. */
  readonly timeout?: number;
}

/** A joined channel. It is joined again, where it was, after every reconnect. */
export interface Room<S extends Server, P extends Pattern<S>> {
  /** `left`: it won't be joined again. */
  readonly state: "joining" | "joined" | "left";
  /** Resolves when it was joined first. Rejects with a {@link LineError} if that is refused. */
  readonly joined: Promise<void>;
  /** Who is there, where the channel has presence. */
  readonly members: readonly Member<MetaOf<S, P>>[];
  /**
   * Calls `handler` with the data of each event. What comes before the first handler of an event of
   * the channel waits for it, up to 1,000 events.
   *
   * @returns A function that stops it.
   */
  on<E extends keyof (EventsOf<S, P> & RoomEvents<MetaOf<S, P>>) & string>(
    name: E,
    handler: (data: (RoomEvents<MetaOf<S, P>> & EventsOf<S, P>)[E]) => unknown,
  ): () => void;
  /**
   * Calls a handler of the server, which runs at most once. While there is no connection, the call
   * waits in the queue. Rejects with a {@link LineError}; only after `ERR_OUTCOME_UNKNOWN` the call may
   * have been handled.
   */
  call<M extends keyof InputsOf<S, P> & string>(
    name: M,
    input: InputsOf<S, P>[M],
    options?: CallOptions,
  ): Promise<M extends keyof OutputsOf<S, P> ? OutputsOf<S, P>[M] : unknown>;
  /** Leaves the channel. Calls reject: with `ERR_OUTCOME_UNKNOWN` if sent, else with `ERR_CLOSED`. */
  leave(): void;
}

interface Call {
  readonly text: string;
  /** When it was sent first, by both clocks, and where the server's record of calls was then. */
  sent: { readonly at: Instant; readonly place: string | undefined } | undefined;
  settle(error: LineError | undefined, result?: unknown): void;
}

export type Frame = Readonly<Record<string, unknown>> & { readonly t: string };

/** The times of two clocks: one may stand still while the machine sleeps, the other may be set. */
export type Instant = readonly [performance: number, date: number];

/** The calls of a line that its rooms use. */
export interface RoomHost {
  /** @returns Whether it was handed to the connection. */
  send(text: string): boolean;
  now(): Instant;
  /** Calls `fn` after `ms`. @returns A function that stops it. */
  after(ms: number, fn: () => void): () => void;
  newId(): string;
  report(error: unknown): void;
  random(): number;
  /** The time after its first sending in which a call may be sent again, in milliseconds. */
  readonly window: number;
  /** The largest frame that the server takes, in UTF-16 code units. */
  readonly max: number;
  readonly queue: { readonly limit: number; readonly overflow: "reject" | "drop-oldest" };
  left(): void;
}

type Handler = (data: unknown) => unknown;

const OWN = ["joined", "members", "left", "gap"];
/** The most characters that a call grows by when it is sent again. */
const MOST_PLACE = 140;
/** Events that wait for their first handler. */
const MOST_HELD = 1_000;

/** The page's part of one channel. */
export class LocalRoom {
  readonly key: string;
  state: "joining" | "joined" | "left" = "joining";
  readonly joined: Promise<void>;
  members: readonly Member<unknown>[] = [];
  readonly #host: RoomHost;
  readonly #join: object;
  readonly #calls = new Map<string, Call>();
  readonly #handlers = new Map<string, Set<Handler>>();
  /** Events of the channel that came before the first handler. */
  #held: [name: string, data: unknown][] | undefined = [];
  #cursor: string | undefined;
  /** Where the server's record of calls was at the last join: if it is lost, so is what was handled. */
  #place: string | undefined;
  #wasJoined = false;
  #retries = 0;
  /** Stops what waits to join again. */
  #stopRetry: (() => void) | undefined;
  #settle!: (error?: LineError) => void;

  constructor(key: string, join: object, host: RoomHost) {
    this.key = key;
    this.#join = join;
    this.#host = host;
    this.joined = new Promise((resolve, reject) => {
      this.#settle = (error) => (error ? reject(error) : resolve());
    });
    // Whoever doesn't ask is told by `left`.
    this.joined.catch(() => {});
  }

  on(name: string, handler: Handler): () => void {
    const handlers = this.#handlers.get(name) ?? new Set();
    this.#handlers.set(name, handlers.add(handler));
    // All handlers of this turn come before what has waited for them.
    if (!OWN.includes(name)) void Promise.resolve().then(() => this.#release());
    return () => void handlers.delete(handler);
  }

  #release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const [name, data] of held) this.#emit(name, data);
  }

  /** Events and gaps have an order. */
  #emitInOrder(name: string, data: unknown): void {
    if (!this.#held) this.#emit(name, data);
    else if (this.#held.push([name, data]) > MOST_HELD) {
      this.#held.splice(0, 2, ["gap", { reason: "overflow" }]);
    }
  }

  #emit(name: string, data?: unknown): void {
    for (const handler of this.#handlers.get(name) ?? []) {
      try {
        handler(data);
      } catch (error) {
        this.#host.report(error);
      }
    }
  }

  #send(frame: object): boolean {
    return this.#host.send(JSON.stringify(frame));
  }

  /** The line is open. */
  join(): void {
    if (this.state === "left") return;
    // Of two joins under way the second would bring once more what comes after the first.
    this.#stopRetry?.();
    this.state = "joining";
    this.#send({ t: "join", ...this.#join, s: this.#cursor });
  }

  /** The line is down. */
  interrupt(): void {
    if (this.state === "joined") this.state = "joining";
  }

  receive(frame: Frame): void {
    const { t, c, e, d, reason, count, i } = frame;
    // The server waits for this: nothing of the channel is on its way any more.
    if (t === "left" && i) this.#send({ t: "ack", i });
    if (this.state === "left") return;
    if (t === "event" && this.state === "joined") {
      if (typeof c === "string") this.#cursor = c;
      this.#emitInOrder(String(e), d);
    } else if (t === "gap" && this.state === "joined") {
      this.#emitInOrder("gap", { reason, ...(count !== undefined && { count }) });
    } else if (t === "joined") {
      this.#receiveJoined(frame);
    } else if (t === "members") {
      this.#meet(frame);
    } else if (t === "refused" || t === "left") {
      this.#refused(frame);
    }
  }

  #receiveJoined({ retained, resumed, c, calls }: Frame): void {
    this.state = "joined";
    this.#place = typeof calls === "string" ? calls : undefined;
    this.#retries = 0;
    // What was published meanwhile on a channel that retains nothing went by.
    if (this.#wasJoined && (!retained || (this.#cursor && resumed === undefined))) {
      this.#emitInOrder("gap", { reason: "reconnect" });
    }
    this.#wasJoined = true;
    // With nothing to come, this is where the next join goes on; else what comes says it.
    if (typeof c === "string") this.#cursor = c;
    this.#settle();
    this.#emit("joined");
    for (const call of [...this.#calls.values()]) {
      if (call.sent && !this.#mayRepeat(call.sent)) call.settle(this.#unknown());
      else this.#sendCall(call);
    }
  }

  #mayRepeat({ at, place }: NonNullable<Call["sent"]>): boolean {
    return place !== undefined && this.#age(at) <= this.#host.window;
  }

  /** A machine that sleeps stops one of the clocks, and whoever sets the time moves the other. */
  #age([performance, date]: Instant): number {
    const now = this.#host.now();
    return Math.max(now[0] - performance, now[1] - date);
  }

  #meet({ all, come, go }: Frame): void {
    const members = new Map(all ? [] : this.members.map((it) => [it.id, it]));
    for (const it of (all ?? come ?? []) as Member<unknown>[]) members.set(it.id, it);
    for (const id of (go ?? []) as string[]) members.delete(id);
    this.members = [...members.values()];
    this.#emit("members", this.members);
  }

  #refused({ code, reason }: Frame): void {
    if (code !== "ERR_UNAVAILABLE") {
      this.end(new LineError(String(code), this.key, reason));
      return;
    }
    this.state = "joining";
    this.#retries += 1;
    const most = Math.min(30_000, 1_000 * 2 ** this.#retries);
    this.#stopRetry?.();
    this.#stopRetry = this.#host.after(
      250 + this.#host.random() * most,
      () => this.state === "joining" && this.join(),
    );
  }

  /** It won't be joined again. */
  end(error: LineError): void {
    if (this.state === "left") return;
    this.state = "left";
    this.members = [];
    for (const call of [...this.#calls.values()]) {
      call.settle(call.sent ? this.#unknown() : error);
    }
    this.#settle(error);
    this.#emit("left", error);
    this.#host.left();
  }

  leave(): void {
    this.#send({ t: "leave", k: this.key });
    this.end(new LineError("ERR_CLOSED", this.key));
  }

  #unknown(): LineError {
    return new LineError("ERR_OUTCOME_UNKNOWN", this.key);
  }

  async call(
    name: string,
    input: unknown,
    { timeout = 30_000 }: CallOptions = {},
  ): Promise<unknown> {
    const fail = (code: string): LineError => new LineError(code, `${this.key}: ${name}`);
    if (this.state === "left") throw fail("ERR_CLOSED");
    const id = this.#host.newId();
    const text = JSON.stringify({ t: "call", k: this.key, i: id, m: name, d: input });
    if (text.length + MOST_PLACE > this.#host.max) throw fail("ERR_TOO_LARGE");
    const { limit, overflow } = this.#host.queue;
    const waiting = [...this.#calls.values()].filter((it) => !it.sent);
    if (waiting.length >= limit) {
      if (overflow === "reject") throw fail("ERR_QUEUE_FULL");
      waiting[0]?.settle(fail("ERR_QUEUE_FULL"));
    }
    return new Promise<unknown>((resolve, reject) => {
      const call: Call = {
        text,
        sent: undefined,
        settle: (error, result) => {
          stop();
          this.#calls.delete(id);
          if (error) reject(error);
          else resolve(result);
        },
      };
      const stop = this.#host.after(timeout, () =>
        call.settle(fail(call.sent ? "ERR_OUTCOME_UNKNOWN" : "ERR_TIMEOUT")),
      );
      this.#calls.set(id, call);
      if (this.state === "joined") this.#sendCall(call);
    });
  }

  #sendCall(call: Call): void {
    const { text, sent } = call;
    const frame = sent ? `${text.slice(0, -1)},"s":${JSON.stringify(sent.place)}}` : text;
    if (this.#host.send(frame)) call.sent ??= { at: this.#host.now(), place: this.#place };
  }

  /** @returns Whether the call is this room's. */
  answer({ t, i, d, code, message }: Frame): boolean {
    const call = this.#calls.get(String(i));
    if (!call) return false;
    if (t === "result") call.settle(undefined, d);
    // It was dropped as the room was: it is sent again with the next join.
    else if (code === "ERR_NOT_JOINED") call.sent = undefined;
    else call.settle(new LineError(String(code), this.key, message));
    return true;
  }
}
