import type { Random } from "../../../scripts/testing/chance.ts";
import { PresenceBoard } from "../src/presence/presence-board.ts";
import type { PresenceBus, PresentListener, Timers } from "../src/presence/types.ts";

export const INTERVAL = 1_000;
/** The grace times of a round: none, less than a check apart, usual, and longer than a process takes to be lost. */
export const GRACES = [0, 50, 500, 4_000];

interface Timer {
  readonly process: SimulatedProcess;
  readonly fn: () => void;
  at: number;
  readonly every: number | undefined;
}

interface Delivery {
  at: number;
  readonly from: SimulatedProcess;
  readonly to: SimulatedProcess;
  readonly note: string;
}

export interface SimulatedProcess {
  readonly name: string;
  readonly board: PresenceBoard;
  /** What its own listeners are: the truth. */
  readonly listeners: Map<string, PresentListener>;
  /** The part of the bus that it is connected to; 0: none. */
  side: number;
  isPaused: boolean;
  isDead: boolean;
  receive: (note: never) => void;
}

export interface Emitted {
  readonly at: number;
  readonly by: string;
  readonly name: "join" | "leave" | "empty";
  readonly listener: PresentListener;
  readonly key: string;
}

/**
 * Processes with presence on a simulated bus, in simulated time. Notes take 1 to 30 ms, in order for
 * each pair of processes. A process can be killed, stand still, and be cut off; the bus can be split.
 * After a standstill a process first receives what came meanwhile, as `deadline` has it.
 */
export class Simulation {
  now = 0;
  readonly processes: SimulatedProcess[] = [];
  readonly emitted: Emitted[] = [];
  readonly #random: Random;
  readonly #grace: number;
  #timers: Timer[] = [];
  #deliveries: Delivery[] = [];
  #count = 0;

  constructor(random: Random, grace = 500) {
    this.#random = random;
    this.#grace = grace;
  }

  get alive(): SimulatedProcess[] {
    return this.processes.filter((it) => !it.isDead);
  }

  start(): SimulatedProcess {
    // Ranks are not the order of their starts.
    const name = `${String.fromCharCode(97 + this.#random(26))}${this.#count++}`;
    const schedule = (ms: number, fn: () => void, every?: number) => {
      const timer: Timer = { process, fn, at: this.now + ms, every };
      this.#timers.push(timer);
      return () => {
        this.#timers = this.#timers.filter((it) => it !== timer);
      };
    };
    const timers: Timers = {
      now: () => this.now,
      after: (ms, fn) => schedule(ms, fn),
      every: (ms, fn) => schedule(ms, fn, ms),
    };
    const bus: PresenceBus = {
      node: name,
      isAlone: false,
      get isUp() {
        return process.side > 0;
      },
      publish: async (_subject, content) => {
        this.#publish(process, JSON.stringify({ v: 1, node: name, ...content }));
        return process.side > 0;
      },
      retain: async (_subject, handler) => {
        process.receive = handler as SimulatedProcess["receive"];
      },
    };
    const board = new PresenceBoard({
      ...{ bus, subject: "presence", interval: INTERVAL, leaveGrace: this.#grace, timers },
    });
    const process: SimulatedProcess = {
      ...{ name, board, listeners: new Map(), side: 1, isPaused: false, isDead: false },
      receive: () => {},
    };
    this.processes.push(process);
    for (const event of ["join", "leave"] as const) {
      board.on(event, (listener) =>
        this.emitted.push({ at: this.now, by: name, name: event, listener, key: listener.id }),
      );
    }
    board.on("empty", (it) => {
      const key = "user" in it ? `user:${it.user}` : `client:${it.client}`;
      this.emitted.push({ at: this.now, by: name, name: "empty", listener: { id: it.id }, key });
    });
    void board.open();
    return process;
  }

  #publish(from: SimulatedProcess, note: string): void {
    if (from.side === 0 || from.isDead) return;
    for (const to of this.alive) {
      if (to.side !== from.side) continue;
      const before = this.#deliveries.findLast((it) => it.from === from && it.to === to)?.at ?? 0;
      const at = Math.max(before, this.now + 1 + this.#random(30));
      this.#deliveries.push({ at, from, to, note });
    }
  }

  join(process: SimulatedProcess, listener: PresentListener): void {
    process.listeners.set(listener.id, listener);
    process.board.join(listener);
  }

  leave(process: SimulatedProcess, id: string): void {
    process.listeners.delete(id);
    process.board.leave(id);
  }

  /** Lets a process shut down: its tabs are closed, and it says goodbye. */
  stop(process: SimulatedProcess): void {
    for (const id of [...process.listeners.keys()]) this.leave(process, id);
    process.board.close();
    this.kill(process);
  }

  kill(process: SimulatedProcess): void {
    process.isDead = true;
    this.#timers = this.#timers.filter((it) => it.process !== process);
    this.#deliveries = this.#deliveries.filter((it) => it.to !== process);
  }

  /** Puts a process on a side of the bus. What was on its way there or from there is lost. */
  move(process: SimulatedProcess, side: number): void {
    if (process.side === side) return;
    process.side = side;
    this.#deliveries = this.#deliveries.filter(
      (it) => it.to === it.from || (it.to !== process && it.from !== process),
    );
    if (side === 0) this.#deliveries = this.#deliveries.filter((it) => it.to !== process);
  }

  /** Lets time pass. Promise reactions run between any two events. */
  async pass(ms: number): Promise<void> {
    const end = this.now + ms;
    for (;;) {
      await settle();
      const delivery = this.#next(this.#deliveries, (it) => it.to);
      const timer = this.#next(this.#timers, (it) => it.process);
      const at = Math.min(delivery?.at ?? Infinity, timer?.at ?? Infinity);
      if (at > end) break;
      this.now = Math.max(this.now, at);
      // What has arrived by now is received before a timer decides.
      if (delivery && delivery.at <= this.now) this.#deliver(delivery);
      else if (timer) this.#fire(timer);
    }
    this.now = end;
  }

  #next<T extends { at: number }>(all: T[], of: (it: T) => SimulatedProcess): T | undefined {
    let first: T | undefined;
    for (const it of all) {
      if (!of(it).isPaused && (first === undefined || it.at < first.at)) first = it;
    }
    return first;
  }

  #deliver(delivery: Delivery): void {
    this.#deliveries = this.#deliveries.filter((it) => it !== delivery);
    const { from, to, note } = delivery;
    if (from === to) to.board.echoed();
    else to.receive(JSON.parse(note) as never);
  }

  #fire(timer: Timer): void {
    if (timer.every === undefined) this.#timers = this.#timers.filter((it) => it !== timer);
    else timer.at = this.now + timer.every;
    timer.fn();
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 8; i++) await Promise.resolve();
}
