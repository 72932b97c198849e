import type { Note, Relay } from "./relay.ts";

/** What has ended, or has to be looked at again: by public ids. */
export type ControlKind = "ended" | "renewed" | "clients" | "listeners";

export type ControlHandlers = Record<ControlKind, (id: string) => void>;

/** In one note. */
const BATCH = 500;
/** Kept while the bus is away. Those dropped are found by looking at the store again. */
const MOST = 10_000;
const RETRY = [50, 2_000] as const;

/**
 * Tells the other processes what has ended, and hears it from them. What the bus doesn't take is
 * kept and told when it is back; hearing of an end twice does no harm.
 */
export class Control {
  readonly #relay: Relay;
  readonly #subject: string;
  readonly #handlers: ControlHandlers;
  readonly #waiting = new Map<string, readonly [ControlKind, string]>();
  #flushing: Promise<boolean> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #wait: number = RETRY[0];

  constructor(relay: Relay, subject: string, handlers: ControlHandlers) {
    this.#relay = relay;
    this.#subject = subject;
    this.#handlers = handlers;
  }

  /** Resolves when it hears the others, or when the bus lets it wait for too long. */
  open(): Promise<void> {
    return this.#relay.retain(this.#subject, (note) => this.#receive(note));
  }

  /** How many words wait for the bus. */
  get size(): number {
    return this.#waiting.size;
  }

  /** @returns Whether the others have been told, after the first try. */
  tell(kind: ControlKind, id: string): Promise<boolean> {
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
      // What was said again meanwhile is another entry, and stays.
      for (const [key, entry] of batch) {
        if (this.#waiting.get(key) === entry) this.#waiting.delete(key);
      }
    }
    return true;
  }

  #receive(note: Note): void {
    for (const kind of Object.keys(this.#handlers) as ControlKind[]) {
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
