import type { Awaitable } from "@lanai/session/store";

/** Tries work that met a lock. `false`: it met one again, and its time is not over. */
type Attempt = () => boolean;

/** SQLite's result codes; their higher bytes only say more. */
const BUSY = 5;
const LOCKED = 6;

/** In milliseconds: an ordinary commit holds the lock for a fraction of one. */
const LONGEST_PAUSE = 16;
/** The number of queued calls that run before other events have their turn. */
const AT_ONCE = 100;

/**
 * Runs work on a database that other connections lock at times. SQLite's own way to wait stops the
 * whole process; here the work waits in a queue, of which only the first tries the lock.
 */
export class LockQueue {
  readonly #timeout: number;
  readonly #waiting: Attempt[] = [];
  #tries = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param timeout - The milliseconds that a call waits before it rejects with the error that it
   *   met.
   */
  constructor(timeout: number) {
    this.#timeout = timeout;
  }

  /** A read needs no writer's lock: it passes those who wait for that. */
  read<T>(work: () => T): Awaitable<T> {
    try {
      return work();
    } catch (error) {
      if (!isLocked(error)) throw error;
      return this.#wait(work);
    }
  }

  write<T>(work: () => T): Awaitable<T> {
    return this.#waiting.length === 0 ? this.read(work) : this.#wait(work);
  }

  #wait<T>(work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const until = performance.now() + this.#timeout;
      this.#waiting.push(() => {
        try {
          resolve(work());
        } catch (error) {
          if (isLocked(error) && performance.now() < until) return false;
          reject(error);
        }
        return true;
      });
      this.#schedule();
    });
  }

  #schedule(): void {
    // Random: processes that met at the lock should not meet again.
    const pause = Math.random() * Math.min(2 ** this.#tries, LONGEST_PAUSE);
    this.#timer ??= setTimeout(() => this.#run(), pause);
  }

  #run(): void {
    this.#timer = undefined;
    this.#tries += 1;
    for (let n = 0; n < AT_ONCE && this.#waiting[0]?.(); n++) {
      this.#waiting.shift();
      this.#tries = 0;
    }
    if (this.#waiting.length > 0) this.#schedule();
  }
}

export function isLocked(error: unknown): boolean {
  const code = (error as { errcode?: unknown } | undefined)?.errcode;
  return typeof code === "number" && [BUSY, LOCKED].includes(code & 0xff);
}

/** An error for which {@link LockQueue} tries again. */
export const lockedError = (message: string): Error =>
  Object.assign(new Error(message), { errcode: BUSY });
