import type { Worker, World } from "./world.ts";

/** What a driver of the store does with the commands that have no answer when its connection breaks. */
export type OnCut =
  /** Sends them again on the next connection, as ioredis does. */
  | "resend"
  /** Rejects them, as pg does: their outcome is unknown. */
  | "reject";

interface Command {
  readonly name: string;
  readonly call: () => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** Which connection it was sent on. */
  connection: number;
  outcome: (() => void) | undefined;
}

type Anything = Record<string, unknown>;

/**
 * A worker's connection to a server, on which commands are applied and answered in their order. To send,
 * to apply and to answer are three events, and others come between. When the connection is cut, a
 * command that the server has received may still be applied, at any later time.
 */
export class Link {
  readonly #world: World;
  readonly #worker: Worker;
  readonly #onCut: OnCut;
  #connection = 0;
  #unanswered: Command[] = [];

  constructor(world: World, worker: Worker, onCut: OnCut) {
    this.#world = world;
    this.#worker = worker;
    this.#onCut = onCut;
  }

  /** Returns the object, with each of its functions called over this connection. */
  to<T extends object>(server: T, isRemote: (name: string) => boolean = () => true): T {
    const far: Anything = {};
    for (const [name, value] of Object.entries(server)) {
      far[name] =
        typeof value === "function" && isRemote(name)
          ? (...args: unknown[]) => this.#send(name, () => value.apply(server, args))
          : value;
    }
    return far as T;
  }

  #send(name: string, call: () => unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const command: Command = {
        ...{ name, call, resolve, reject },
        ...{ connection: this.#connection, outcome: undefined },
      };
      this.#unanswered.push(command);
      this.#deliver(command);
    });
  }

  #deliver(command: Command): void {
    const { connection } = command;
    this.#world.post(`${this.#worker.name}: the server is at ${command.name}`, () => {
      const next = this.#unanswered.find((it) => !it.outcome && it.connection === connection);
      if (next && connection === this.#connection) this.#apply(next);
    });
  }

  #apply(command: Command): void {
    command.outcome = carryOut(command);
    this.#world.post(
      `${this.#worker.name}: an answer to ${command.name}`,
      () => {
        const first = this.#unanswered.find((it) => it.outcome);
        if (!first?.outcome) return;
        this.#unanswered = this.#unanswered.filter((it) => it !== first);
        first.outcome();
      },
      this.#worker,
    );
  }

  /** Breaks the connection. */
  cut(): void {
    if (this.#unanswered.length === 0) return;
    this.#world.log.push(`${this.#world.sinceBegan} ${this.#worker.name}: the connection is cut`);
    this.#connection += 1;
    const cut = this.#unanswered;
    this.#unanswered = [];
    for (const command of cut) {
      if (!command.outcome && this.#world.chance(0.5)) this.#applyLate(command);
      command.outcome = undefined;
      command.connection = this.#connection;
      if (this.#onCut === "reject") command.reject(new Error("Connection is closed."));
    }
    if (this.#onCut === "reject") return;
    this.#unanswered = cut;
    for (const command of cut) this.#deliver(command);
  }

  /** The worker has crashed: nobody waits for an answer. What was sent may still be applied. */
  abandon(): void {
    for (const command of this.#unanswered) {
      if (!command.outcome && this.#world.chance(0.5)) this.#applyLate(command);
    }
    this.#unanswered = [];
  }

  #applyLate(command: Command): void {
    this.#world.post(`the server is late at ${command.name}`, () => {
      this.#world.isLate = true;
      carryOut(command);
      this.#world.isLate = false;
    });
  }
}

function carryOut({ call, resolve, reject }: Command): () => void {
  try {
    const result = call();
    return () => resolve(result);
  } catch (error) {
    return () => reject(error);
  }
}
