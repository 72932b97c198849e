import { AsyncLocalStorage } from "node:async_hooks";
import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import promises from "node:timers/promises";

/** The real one, which lets every promise reaction of the last event run. */
const realImmediate = globalThis.setImmediate;
const settled = (): Promise<void> => new Promise((resolve) => realImmediate(resolve));

/** A process of the app. Its events wait while it stands still, and are dropped when it has crashed. */
export interface Worker {
  readonly name: string;
  state: "running" | "frozen" | "crashed";
}

interface Happening {
  readonly text: string;
  readonly worker: Worker | undefined;
  /** An immediate of Node runs after what the process has received. */
  readonly isImmediate: boolean;
  run(): void;
}

interface Timer {
  due: number;
  readonly every: number | undefined;
  readonly worker: Worker | undefined;
  readonly fn: () => void;
  isOver: boolean;
}

/** A small generator of random numbers from 0 to 1 (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let it = Math.imul(state ^ (state >>> 15), 1 | state);
    it = (it + Math.imul(it ^ (it >>> 7), 61 | it)) ^ it;
    return ((it ^ (it >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * One run: a clock, every timer, and everything that may happen next. A seeded choice decides which of
 * these events comes first, so that the same seed gives the same order.
 */
export class World {
  static current: World;
  readonly random: () => number;
  readonly log: string[] = [];
  /** Errors that nobody has handled: each would end a real process. */
  readonly unhandled: unknown[] = [];
  /** Whether a command is being applied whose connection was cut before. */
  isLate = false;
  /** The longest that something may take although nothing stands in its way, in milliseconds. */
  mostDelay = 100;
  now = 1_800_000_000_000;
  readonly #began = this.now;
  readonly #worker = new AsyncLocalStorage<Worker>();
  #happenings: Happening[] = [];
  #timers: Timer[] = [];

  constructor(seed: number) {
    this.random = randomOf(seed);
    World.current = this;
  }

  get sinceBegan(): number {
    return this.now - this.#began;
  }

  get worker(): Worker | undefined {
    return this.#worker.getStore();
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.random() * choices.length)] as T;
  }

  bytes(size: number): Buffer {
    return Buffer.from(Array.from({ length: size }, () => Math.floor(this.random() * 256)));
  }

  /** Writes a line into the log that is no event. */
  note(text: string): void {
    this.log.push(`${this.sinceBegan} ${text}`);
  }

  /** Runs `fn` as a part of this process. */
  in<T>(worker: Worker, fn: () => T): T {
    return this.#worker.run(worker, fn);
  }

  /** Lets an event happen at some time from now on; with `worker`, in that process. */
  post(text: string, run: () => void, worker?: Worker, isImmediate = false): void {
    this.#happenings.push({
      ...{ text, worker, isImmediate },
      run: worker ? () => this.in(worker, run) : run,
    });
  }

  addTimer(fn: () => void, ms = 1, every?: number): Timer {
    const delay = Math.max(1, ms > 2 ** 31 ? 1 : Math.trunc(ms));
    const timer: Timer = { due: this.now + delay, every, worker: this.worker, fn, isOver: false };
    if (ms !== Infinity) this.#timers.push(timer);
    return timer;
  }

  /** Calls `fn` after `ms`, whatever the processes do. */
  at(fn: () => void, ms: number): void {
    this.#worker.exit(() => this.addTimer(fn, ms));
  }

  /** Lets one event happen; returns whether there was one before `horizon`. */
  async step(horizon: number): Promise<boolean> {
    await settled();
    const possible = this.#possible();
    const timer = this.#nextTimer();
    const isNear = timer !== undefined && timer.due <= this.now + this.mostDelay;
    // Node fires its timers before it reads what has arrived.
    const isDue = timer !== undefined && timer.due <= this.now;
    const isTimersTurn = possible.length === 0 || isDue || (isNear && this.chance(0.05));
    if (isTimersTurn) {
      if (!timer || timer.due > horizon) {
        if (possible.length === 0) return false;
      } else {
        this.#fire(timer);
        return true;
      }
    }
    const next = this.pick(possible);
    this.#happenings = this.#happenings.filter((it) => it !== next);
    this.now += this.chance(0.3) ? 1 : 0;
    this.log.push(`${this.sinceBegan} ${next.text}`);
    next.run();
    return true;
  }

  /** Whether nothing is under way, so that only a timer can bring something about. */
  get isIdle(): boolean {
    return this.#possible().length === 0;
  }

  /** Whether an event with this text is about to happen. */
  expects(text: string): boolean {
    return this.#happenings.some((it) => it.text.includes(text));
  }

  /** An immediate runs after everything that its process had received before. */
  #possible(): Happening[] {
    const unread = new Set<Worker>();
    return this.#happenings.filter(({ worker, isImmediate }) => {
      if (worker?.state === "frozen" || worker?.state === "crashed") return false;
      if (isImmediate && worker && unread.has(worker)) return false;
      if (!isImmediate && worker) unread.add(worker);
      return true;
    });
  }

  #nextTimer(): Timer | undefined {
    this.#timers = this.#timers.filter((it) => !it.isOver && it.worker?.state !== "crashed");
    const running = this.#timers.filter((it) => it.worker?.state !== "frozen");
    return running.reduce<Timer | undefined>((a, b) => (a && a.due <= b.due ? a : b), undefined);
  }

  #fire(timer: Timer): void {
    this.now = Math.max(this.now, timer.due);
    if (timer.every === undefined) timer.isOver = true;
    else timer.due = this.now + timer.every;
    if (timer.worker) this.in(timer.worker, timer.fn);
    else timer.fn();
  }

  /** Runs the immediates that a process has now, or all processes. */
  turn(worker?: Worker): void {
    const isDue = (it: Happening) => it.isImmediate && (!worker || it.worker === worker);
    const immediates = this.#happenings.filter(isDue);
    this.#happenings = this.#happenings.filter((it) => !isDue(it));
    for (const it of immediates) it.run();
  }

  /** Turns the event loops of all processes, so that nothing of this run is left in their modules. */
  async drain(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) {
      await settled();
      this.turn();
    }
  }

  /** Lets `ms` milliseconds pass in which nothing happens, as when every process stands still. */
  pass(ms: number): void {
    this.now += ms;
  }
}

/** Lets every timer, clock and random number of this program be the current world's. */
export function takeOver(): void {
  const timerOf = (timer: Timer) => ({
    ref: () => timerOf(timer),
    unref: () => timerOf(timer),
    hasRef: () => true,
    refresh: () => timerOf(timer),
    timer,
  });
  const set = (fn: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) =>
    timerOf(World.current.addTimer(() => fn(...args), ms));
  const every = (fn: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) =>
    timerOf(World.current.addTimer(() => fn(...args), ms, Math.max(1, ms ?? 1)));
  const clear = (it?: { timer?: { isOver: boolean } }) => {
    if (it?.timer) it.timer.isOver = true;
  };
  const immediate = (fn: (...args: unknown[]) => void, ...args: unknown[]) => {
    const timer = { isOver: false };
    const world = World.current;
    const run = () => void (timer.isOver || fn(...args));
    world.post("the event loop turns", run, world.worker, true);
    return { timer, unref() {}, ref() {} };
  };
  Object.assign(globalThis, {
    ...{ setTimeout: set, setInterval: every, setImmediate: immediate },
    ...{ clearTimeout: clear, clearInterval: clear, clearImmediate: clear },
  });
  const wait = (ms?: number, value?: unknown, options: { signal?: AbortSignal } = {}) =>
    new Promise((resolve, reject) => {
      const timer = World.current.addTimer(() => resolve(value), ms);
      options.signal?.addEventListener("abort", () => {
        timer.isOver = true;
        reject(options.signal?.reason);
      });
    });
  Object.assign(promises, {
    setTimeout: wait,
    setImmediate: (value?: unknown) => new Promise((resolve) => immediate(() => resolve(value))),
  });
  Object.assign(crypto, {
    randomBytes: (size: number) => World.current.bytes(size),
    randomUUID: () => World.current.bytes(16).toString("hex"),
  });
  syncBuiltinESMExports();
  Date.now = () => World.current.now;
  performance.now = () => World.current.sinceBegan;
  Math.random = () => World.current.random();
  for (const name of ["unhandledRejection", "uncaughtException"]) {
    process.on(name, (error) => World.current.unhandled.push(error));
  }
}
