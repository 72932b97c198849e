import { AsyncLocalStorage } from "node:async_hooks";
import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import promises from "node:timers/promises";

const realImmediate = globalThis.setImmediate;

/** Resolves when every promise reaction of the last event has run. */
export const settled = (): Promise<void> => new Promise((resolve) => realImmediate(resolve));

/** A process of the app. Its events wait while it stands still, and are dropped when it has crashed. */
export interface Worker {
  readonly name: string;
  state: "running" | "frozen" | "crashed";
}

interface Happening extends EventOptions {
  readonly text: string;
  run(): void;
}

interface EventOptions {
  /** The process in which it happens. */
  readonly worker?: Worker | undefined;
  /** What it comes by, such as one direction of a connection. Default: nothing that others come by. */
  readonly way?: object | undefined;
  /** An immediate of Node runs after what the process has received. */
  readonly isImmediate?: boolean;
}

interface Timer {
  due: number;
  readonly every: number | undefined;
  readonly worker: Worker | undefined;
  readonly fn: () => void;
  isOver: boolean;
}

/** Calls a function outside of every context: what earlier runs have left there makes each later one slower. */
export const outside: <Given extends unknown[], T>(fn: (...args: Given) => T, ...args: Given) => T =
  AsyncLocalStorage.snapshot();

/** One for all worlds: every one of them makes each context a little slower. */
const currentWorker = new AsyncLocalStorage<Worker>();

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

/** Decides how a run goes on where it could go on in several ways. */
export interface Decisions {
  /** Returns one of `count` numbers from 0. None of them is more usual than another. */
  oneOf(count: number): number;
  /** Returns which of `count` events comes next. The first of them has waited longest. */
  next(count: number): number;
  chance(probability: number): boolean;
  /** Returns a part of the longest time that something may take, from 0 to 1. */
  part(): number;
}

function randomDecisions(random: () => number): Decisions {
  const oneOf = (count: number): number => Math.floor(random() * count);
  return { oneOf, next: oneOf, chance: (probability) => random() < probability, part: random };
}

const USUAL: Decisions = {
  oneOf: () => 0,
  next: () => 0,
  chance: (probability) => probability > 0.5,
  part: () => 0.5,
};

/** How often what comes by one way is held up until nothing else happens. */
const HELD_UP = 0.02;

/**
 * One run: a clock, every timer, and everything that may happen next. Which of these events comes first
 * is decided from outside: by random numbers of a seed, or in every possible way (see `explore.ts`).
 */
export class World {
  static current: World;
  /** Random numbers for ids and keys, which decide nothing. */
  readonly random: () => number;
  #decisions: Decisions;
  readonly log: string[] = [];
  /** Errors that nobody has handled: each would end a real process. */
  readonly unhandled: unknown[] = [];
  /** Whether a command is being applied whose connection was cut before. */
  isLate = false;
  /** The longest that something may take although nothing stands in its way, in milliseconds. */
  mostDelay = 100;
  now = 1_800_000_000_000;
  readonly #began = this.now;
  #happenings: Happening[] = [];
  #timers: Timer[] = [];
  /** The ways by which nothing comes until nothing else happens. */
  readonly #heldUp = new Set<object>();

  constructor(seed: number, decisions: Decisions = randomDecisions(randomOf(seed))) {
    this.random = randomOf(seed ^ 0x1d5);
    this.#decisions = decisions;
    World.current = this;
  }

  get sinceBegan(): number {
    return this.now - this.#began;
  }

  get worker(): Worker | undefined {
    return currentWorker.getStore();
  }

  /** Goes on as usual until the function that it returns is called. */
  calm(): () => void {
    const decisions = this.#decisions;
    this.#decisions = USUAL;
    return () => {
      this.#decisions = decisions;
    };
  }

  chance(probability: number): boolean {
    return this.#decisions.chance(probability);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.#decisions.oneOf(choices.length)] as T;
  }

  /** Picks one; usually the first. */
  pickUsual<T>(choices: readonly T[]): T {
    return choices[this.#decisions.next(choices.length)] as T;
  }

  /** A time from 1 to `most` milliseconds. */
  time(most: number): number {
    return 1 + this.#decisions.part() * most;
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
    return currentWorker.run(worker, fn);
  }

  /** Lets an event happen at some time from now on. */
  post(text: string, run: () => void, options: EventOptions = {}): void {
    const { worker } = options;
    this.#happenings.push({ ...options, text, run: worker ? () => this.in(worker, run) : run });
  }

  addTimer(fn: () => void, ms = 1, every?: number): Timer {
    const delay = Math.max(1, ms > 2 ** 31 ? 1 : Math.trunc(ms));
    const timer: Timer = { due: this.now + delay, every, worker: this.worker, fn, isOver: false };
    if (ms !== Infinity) this.#timers.push(timer);
    return timer;
  }

  /** Calls `fn` after `ms`, whatever the processes do. */
  at(fn: () => void, ms: number): void {
    currentWorker.exit(() => this.addTimer(fn, ms));
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
    const next = this.#choose(possible);
    this.#happenings = this.#happenings.filter((it) => it !== next);
    this.now += this.random() < 0.3 ? 1 : 0;
    this.log.push(`${this.sinceBegan} ${next.text}`);
    next.run();
    return true;
  }

  /** Decides which event comes next. */
  #choose(possible: readonly Happening[]): Happening {
    let free = this.#notHeldUp(possible);
    const [first] = free;
    if (free.length > 1 && first && this.chance(HELD_UP)) {
      this.#heldUp.add(wayOf(first));
      free = this.#notHeldUp(possible);
    }
    return free[this.#decisions.next(free.length)] as Happening;
  }

  #notHeldUp(possible: readonly Happening[]): readonly Happening[] {
    const free = possible.filter((it) => !this.#heldUp.has(wayOf(it)));
    if (free.length > 0) return free;
    this.#heldUp.clear();
    return possible;
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

const wayOf = (it: Happening): object => it.way ?? it;

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
    world.post("the event loop turns", run, { worker: world.worker, isImmediate: true });
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
