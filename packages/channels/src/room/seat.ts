import { compareCursors } from "@lanai/pubsub";
import { type Frame, frameOf } from "../frame.ts";
import { type Entry, type Log, NOTHING, PAGE } from "./log.ts";

/** The way to send frames to a listener. */
export interface Outlet {
  /** @returns Whether there is room for more. */
  send(frame: Frame): boolean;
  /** Resolves when there is room again, or the listener has ended. */
  drained(): Promise<void>;
}

/** The part that all seats of a room share. */
export interface SeatOptions {
  readonly key: string;
  readonly log: Log;
  /** Resolves when this process may deliver; `undefined`: it may now. */
  readonly permission: () => Promise<void> | undefined;
  readonly onError: (error: unknown) => void;
}

/** Where a page joins: strictly after a cursor, or with so many of the last messages. */
export interface From {
  readonly since: string | undefined;
  readonly replay: number;
  /** Where the record of calls is, if the channel has calls. */
  readonly calls?: string | undefined;
}

/**
 * A listener's place in one channel. It is sent what it hasn't received yet as fast as its connection
 * takes it: from the log of the process, and by the cursor from the bus where it is too far behind. So
 * nothing waits for a slow listener but a number.
 */
export class Seat {
  readonly #options: SeatOptions;
  readonly #outlet: Outlet;
  /** The next entry of the log; `undefined` while it reads by the cursor. */
  #next: number | undefined;
  #cursor: string | undefined;
  /** Whether the log may still bring what came before the cursor: it is behind another process's. */
  #mayRepeat = false;
  #isBusy = true;
  #isOver = false;

  constructor(options: SeatOptions, outlet: Outlet) {
    this.#options = options;
    this.#outlet = outlet;
  }

  get isLive(): boolean {
    return !this.#isBusy && !this.#isOver;
  }

  /** Decides where it begins. Nothing is sent before {@link begin}. */
  async prepare(from: From): Promise<Beginning> {
    return { calls: from.calls, ...(await this.#beginning(from)) };
  }

  async #beginning({ since, replay }: From): Promise<Beginning> {
    const { log } = this.#options;
    if (since === undefined) return { next: () => log.last(replay) };
    if (log.knows(since)) return { next: () => log.after(since), since };
    // Too old for the log, or newer than it: this process is behind, or the stream has lost its end.
    const page = log.cursor === undefined ? undefined : await log.page(since);
    if (page) return { next: () => log.after(since), since, page };
    // A stream that was lost has nothing that this page has received, but one that was restored from
    // an older state may: only where the order shows that all is newer it is sent.
    const isNewer = (): boolean => {
      const at = log.at(log.last(replay))?.cursor;
      return at !== undefined && (compareCursors(at, since) ?? -1) > 0;
    };
    return { next: () => (isNewer() ? log.last(replay) : log.next), lost: since };
  }

  /** Says that it has joined, and sends what comes first. Call it in the turn that adds the seat. */
  begin({ next, since, page, lost, calls }: Beginning): void {
    const { key: k, log } = this.#options;
    this.#next = next();
    this.#cursor = since;
    this.#mayRepeat = since !== undefined;
    const isBehind = this.#next === undefined || this.#next < log.next;
    const resumed = lost !== undefined ? false : since === undefined ? undefined : true;
    // Before a replay there is no cursor: a page that loses the connection in it asks for it again.
    const c = isBehind ? undefined : this.#placeOf(since);
    this.#outlet.send(
      frameOf("joined", { k, retained: log.cursor !== undefined, resumed, c, calls }),
    );
    if (lost !== undefined) this.#outlet.send(frameOf("gap", { k, reason: "cursor" }));
    void this.#run(this.#next === undefined ? page : undefined);
  }

  /** Returns the cursor of a page that has received all that the log has. It is never before `since`. */
  #placeOf(since: string | undefined): string | undefined {
    const { log } = this.#options;
    return since === undefined || log.hasReached(since) ? log.cursor : since;
  }

  /** A new entry of the log. */
  push({ frame, cursor }: Entry, seq: number): void {
    if (this.#isBusy || this.#isOver || this.#next !== seq) return;
    this.#next = seq + 1;
    if (this.#hasReceived(cursor)) return;
    this.#cursor = cursor ?? this.#cursor;
    if (!this.#outlet.send(frame)) void this.#run();
  }

  /** Stops until this process may deliver again. */
  pause(): void {
    if (!this.#isBusy) void this.#run();
  }

  end(): void {
    this.#isOver = true;
  }

  async #run(first?: readonly Entry[]): Promise<void> {
    this.#isBusy = true;
    try {
      if (first) await this.#sendPage(first);
      while (!this.#isOver && (await this.#step()));
    } catch (error) {
      // It stays where it is until the next attempt.
      this.#options.onError(error);
      setTimeout(() => this.#isOver || void this.#run(), RETRY).unref();
    }
  }

  /** @returns Whether there may be more to send. */
  async #step(): Promise<boolean> {
    const { log } = this.#options;
    await this.#ready();
    if (this.#isOver) return false;
    if (this.#next !== undefined && this.#next < log.first) {
      const missed = log.first - this.#next;
      this.#next = this.#cursor === undefined ? log.first : undefined;
      if (this.#cursor === undefined) this.#gap("overflow", missed);
    }
    if (this.#next === undefined) return this.#readOn(this.#cursor as string);
    const entry = log.at(this.#next);
    if (entry === undefined) {
      // Here and now: the next entry may come before whoever awaits this goes on.
      this.#isBusy = false;
      return false;
    }
    this.#next += 1;
    if (!this.#hasReceived(entry.cursor)) this.#send(entry);
    return true;
  }

  async #readOn(cursor: string): Promise<true> {
    const { log } = this.#options;
    this.#next = log.after(cursor);
    if (this.#next !== undefined) return true;
    const page = await log.page(cursor);
    if (this.#isOver) return true;
    if (page) {
      await this.#sendPage(page);
    } else {
      this.#gap("expired");
      this.#next = log.first;
    }
    return true;
  }

  async #sendPage(page: readonly Entry[]): Promise<void> {
    const { log } = this.#options;
    for (const entry of page) {
      await this.#ready();
      if (this.#isOver) return;
      this.#send(entry);
    }
    // What the log has beyond it comes next; what it has not yet will come.
    this.#mayRepeat = true;
    const { cursor } = page.at(-1) ?? { cursor: this.#cursor };
    this.#next = cursor === undefined ? log.first : log.after(cursor);
    if (this.#next === undefined && page.length < PAGE) this.#next = log.first;
  }

  #send({ frame, cursor }: Entry): void {
    this.#cursor = cursor ?? this.#cursor;
    if (frame !== NOTHING) this.#outlet.send(frame);
  }

  #gap(reason: string, count?: number): void {
    this.#outlet.send(frameOf("gap", { k: this.#options.key, reason, count }));
  }

  /** The log may be behind what the page received from another process. */
  #hasReceived(cursor: string | undefined): boolean {
    if (!this.#mayRepeat || cursor === undefined || this.#cursor === undefined) return false;
    this.#mayRepeat = (compareCursors(cursor, this.#cursor) ?? 1) <= 0;
    return this.#mayRepeat;
  }

  async #ready(): Promise<void> {
    const { permission } = this.#options;
    await this.#outlet.drained();
    for (let wait = permission(); wait && !this.#isOver; wait = permission()) await wait;
  }
}

/** Where a seat begins, as it was found out. */
export interface Beginning {
  readonly next: () => number | undefined;
  readonly since?: string;
  readonly page?: readonly Entry[];
  /** The cursor that can't be resumed. */
  readonly lost?: string;
  readonly calls?: string | undefined;
}

/** Before what could not be read from the bus is tried again, in milliseconds. */
const RETRY = 1_000;
