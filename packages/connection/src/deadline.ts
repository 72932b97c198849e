import { MAX_TIMER } from "./options.ts";

type Awaitable<T> = T | PromiseLike<T>;

/** Stops a deadline or a repetition; does nothing if it is over. */
export type Cancel = () => void;

/** Options of a timer. */
export interface DeadlineOptions {
  /** Whether the timer lets the process exit. Default: false. */
  readonly unref?: boolean;
}

/**
 * The number of turns of the event loop before a deadline decides. One turn reads what every socket
 * has received; the others are for replies that come in several steps, such as those of TLS or of a
 * client that puts its replies off by `setImmediate`.
 */
const TURNS = 4;

/** The shortest delay that counts as standing still, in milliseconds: less is an ordinary busy turn. */
const STANDSTILL = 100;

/**
 * The number of times in an interval at which {@link repeat} notices that the process stood still.
 */
const STEPS = 4;

/**
 * Calls `fn` when the event loop has turned: what the process had already received by now has been
 * processed, with all its promise reactions.
 *
 * Timers are due before the loop polls for I/O. When a process has stood still (it computed, or was
 * stopped by a signal or a debugger), its timers therefore fire while an answer that came long ago
 * is still unread in the kernel. The check phase, in which immediates run, follows the poll. An
 * immediate is never unref'ed here: an unref'ed one lets the poll block.
 */
export function afterTurn(fn: () => void): Cancel {
  let left = TURNS;
  const turn = (): void => {
    left -= 1;
    if (left === 0) fn();
    else immediate = setImmediate(turn);
  };
  let immediate = setImmediate(turn);
  return () => clearImmediate(immediate);
}

/**
 * Calls `fn` when `ms` milliseconds have passed and the event loop has turned, so that an answer that
 * has already arrived cancels the deadline first. More than {@link MAX_TIMER} milliseconds: never.
 */
export function after(ms: number, fn: () => void, options: DeadlineOptions = {}): Cancel {
  if (ms > MAX_TIMER) return () => {};
  let cancelTurn: Cancel | undefined;
  const timer = setTimeout(() => {
    cancelTurn = afterTurn(fn);
  }, ms);
  if (options.unref) timer.unref();
  return () => {
    clearTimeout(timer);
    cancelTurn?.();
  };
}

/**
 * Passes an answer on, or what `onTimeout` returns or throws if there is none within `ms`
 * milliseconds ({@link after}). A value that is no promise is returned as it is, without a timer.
 *
 * When the deadline is over, a later rejection of `answer` is handled and dropped.
 */
export function within<T>(
  ms: number,
  answer: PromiseLike<T>,
  onTimeout: () => T,
  options?: DeadlineOptions,
): Promise<T>;
export function within<T>(
  ms: number,
  answer: Awaitable<T>,
  onTimeout: () => T,
  options?: DeadlineOptions,
): T | Promise<T>;
export function within<T>(
  ms: number,
  answer: Awaitable<T>,
  onTimeout: () => T,
  options?: DeadlineOptions,
): T | Promise<T> {
  if (!isPromise(answer)) return answer;
  return new Promise<T>((resolve, reject) => {
    const cancel = after(
      ms,
      () => {
        try {
          resolve(onTimeout());
        } catch (error) {
          reject(error);
        }
      },
      options,
    );
    answer.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });
}

const isPromise = <T>(answer: Awaitable<T>): answer is PromiseLike<T> =>
  typeof (answer as { then?: unknown } | undefined)?.then === "function";

/** Options of a repeated call. */
export interface RepeatOptions extends DeadlineOptions {
  /** Milliseconds from any fixed instant. Default: `performance.now`, which no clock change moves. */
  readonly clock?: () => number;
}

/**
 * Calls `fn(false)` every `interval` milliseconds, after the event loop has turned.
 *
 * If the process has stood still for more than a quarter of the interval (and more than 100 ms),
 * calls `fn(true)` instead, as soon as it goes on, and then begins a full interval. With `true` no
 * silence may be held against a peer: ask it again, and judge at the next call. `Infinity`: never.
 */
export function repeat(
  interval: number,
  fn: (stoodStill: boolean) => void,
  { unref = false, clock = () => performance.now() }: RepeatOptions = {},
): Cancel {
  if (interval > MAX_TIMER) return () => {};
  const step = interval / STEPS;
  const most = step + Math.max(step, STANDSTILL);
  let last = clock();
  let steps = 0;
  let stoodStill = false;
  let cancelTurn: Cancel | undefined;
  const timer = setInterval(() => {
    const now = clock();
    stoodStill ||= now - last > most;
    last = now;
    steps += 1;
    // A turn that is under way goes on: a process that lags all the time must still get to judge.
    if (cancelTurn || (steps < STEPS && !stoodStill)) return;
    cancelTurn = afterTurn(() => {
      const hasStoodStill = stoodStill;
      stoodStill = false;
      steps = 0;
      cancelTurn = undefined;
      fn(hasStoodStill);
    });
  }, step);
  if (unref) timer.unref();
  return () => {
    clearInterval(timer);
    cancelTurn?.();
  };
}

/** Options of `watchdog`. `interval`, `probe` and `onDead` are required. */
export interface WatchdogOptions extends RepeatOptions {
  /** The interval between two heartbeats, in milliseconds. */
  readonly interval: number;
  /**
   * The number of intervals in a row that may pass in silence; then the peer is dead. Default: 1.
   */
  readonly misses?: number;
  /** Asks the peer: sends a ping or a heartbeat. Called at once, and at each interval. */
  readonly probe: () => void;
  /** Called once, when the peer is dead; the watchdog has stopped. */
  readonly onDead: () => void;
}

/** A running check that a peer still responds. */
export interface Watchdog {
  /** Call it whenever the peer has sent something. */
  heard(): void;
  /** Ends the check; `onDead` is not called any more. */
  stop(): void;
}

/**
 * Watches whether a peer lives: asks it every interval, and calls `onDead` when it has been silent
 * for `misses` intervals, none of which this process spent standing still ({@link repeat}).
 */
export function watchdog({
  interval,
  misses = 1,
  probe,
  onDead,
  ...how
}: WatchdogOptions): Watchdog {
  let silent = 0;
  const stop = repeat(
    interval,
    (stoodStill) => {
      if (stoodStill) silent = Math.min(silent, misses - 1);
      if (silent === misses) {
        stop();
        onDead();
        return;
      }
      silent += 1;
      probe();
    },
    how,
  );
  silent = 1;
  probe();
  return {
    heard() {
      silent = 0;
    },
    stop,
  };
}
