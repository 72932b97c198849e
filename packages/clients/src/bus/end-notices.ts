import type { Note } from "@lanai/connection/note-seal";
import type { Relay } from "./relay.ts";

/** The kind of an end notice, which names by a public id what has ended or has to be checked again. */
export type NoticeKind = "ended" | "renewed" | "clients" | "listeners" | "begun";

export type NoticeHandlers = Record<NoticeKind, (id: string) => void>;

/** The most ids in one note. */
const BATCH = 500;
/** The most that is kept while the bus is down. What is dropped is found by checking the store. */
const MOST = 10_000;
const RETRY = [50, 2_000] as const;

/**
 * Notifies the other processes of what has ended, and receives their notices. What the bus doesn't accept is
 * kept and sent when it is back; a repeated notice does no harm.
 */
export class EndNotices {
  readonly #relay: Relay;
  readonly #subject: string;
  readonly #handlers: NoticeHandlers;
  readonly #waiting = new Map<string, readonly [NoticeKind, string]>();
  #flushing: Promise<boolean> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #wait: number = RETRY[0];

  constructor(relay: Relay, subject: string, handlers: NoticeHandlers) {
    this.#relay = relay;
    this.#subject = subject;
    this.#handlers = handlers;
  }

  /** Resolves when the notices of others are subscribed, or after the timeout of the relay. */
  open(): Promise<void> {
    return this.#relay.retain(this.#subject, (note) => this.#receive(note));
  }

  /** The number of notices that wait for the bus. */
  get size(): number {
    return this.#waiting.size;
  }

  /** @returns Whether the bus has accepted all notices at the first attempt. */
  tell(kind: NoticeKind, id: string): Promise<boolean> {
    if (this.#relay.isAlone) return Promise.resolve(true);
    const key = `${kind}:${id}`;
    this.#waiting.delete(key);
    this.#waiting.set(key, [kind, id]);
    if (this.#waiting.size > MOST) {
      const [oldest = ""] = this.#waiting.keys();
      this.#waiting.delete(oldest);
    }
    return this.flush();
  }

  flush(): Promise<boolean> {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  async #flush(): Promise<boolean> {
    // Whatever ends in the same turn goes together.
    await Promise.resolve();
    clearTimeout(this.#retry);
    while (this.#waiting.size > 0) {
      const batch = [...this.#waiting].slice(0, BATCH);
      const note: Record<string, string[]> = {};
      for (const [, [kind, id]] of batch) {
        note[kind] ??= [];
        note[kind].push(id);
      }
      if (!(await this.#relay.publish(this.#subject, note))) {
        this.#retry = setTimeout(() => void this.flush(), this.#wait);
        this.#retry.unref();
        this.#wait = Math.min(this.#wait * 2, RETRY[1]);
        return false;
      }
      this.#wait = RETRY[0];
      // A notice that was repeated meanwhile is another entry, and stays.
      for (const [key, entry] of batch) {
        if (this.#waiting.get(key) === entry) this.#waiting.delete(key);
      }
    }
    return true;
  }

  #receive(note: Note): void {
    for (const kind of Object.keys(this.#handlers) as NoticeKind[]) {
      const ids = note[kind];
      if (!Array.isArray(ids)) continue;
      for (const id of ids) if (typeof id === "string") this.#handlers[kind](id);
    }
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#waiting.clear();
  }
}
