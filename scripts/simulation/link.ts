import type { Worker, World } from "./world.ts";

/** What a driver of the store does with the commands that have no answer when its connection breaks. */
export type OnCut =
  /** Sends them again on the next connection, as ioredis does. */
  | "resend"
  /** Rejects them, as a pool of pg does: their outcome is unknown. Each has a connection of its own. */
  | "reject";

/** What a link needs of the world that it is in. */
export type Surroundings = Pick<World, "post" | "pick" | "log" | "sinceBegan" | "isLate">;

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
 * A worker's way to a server. To send a command, to apply and to answer it are three events, and others
 * come between. On one connection (`resend`) commands are applied and answered in their order; those of a
 * pool (`reject`) overtake each other. When the way is cut, a command that the server has received may
 * still be applied, at any later time.
 *
 * `scripts/test/models.server.test.ts` holds this to the drivers and servers.
 */
export class Link {
  readonly #world: Surroundings;
  readonly #worker: Worker;
  readonly #onCut: OnCut;
  readonly #ways = { there: {}, back: {} };
  #connection = 0;
  #unanswered: Command[] = [];

  constructor(world: Surroundings, worker: Worker, onCut: OnCut) {
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
    const arrive = (): void => {
      if (connection !== this.#connection) return;
      const next = this.#first(command, (it) => !it.outcome);
      if (next) this.#apply(next);
    };
    const way = this.#wayOf("there");
    this.#world.post(`${this.#worker.name}: the server is at ${command.name}`, arrive, { way });
  }

  #apply(command: Command): void {
    command.outcome = carryOut(command);
    this.#world.post(
      `${this.#worker.name}: an answer to ${command.name}`,
      () => {
        const first = this.#first(command, (it) => it.outcome !== undefined);
        if (!first?.outcome) return;
        this.#unanswered = this.#unanswered.filter((it) => it !== first);
        first.outcome();
      },
      { worker: this.#worker, way: this.#wayOf("back") },
    );
  }

  /** A pool has a connection for each command. */
  #wayOf(direction: "there" | "back"): object | undefined {
    return this.#onCut === "resend" ? this.#ways[direction] : undefined;
  }

  /** Whose turn it is when something happens to a command: on one connection that of the first in order. */
  #first(command: Command, isDue: (it: Command) => boolean): Command | undefined {
    const those = this.#onCut === "resend" ? this.#unanswered : [command];
    return those.find((it) => isDue(it) && this.#unanswered.includes(it));
  }

  /** Breaks the connection. */
  cut(): void {
    if (this.#unanswered.length === 0) return;
    this.#world.log.push(`${this.#world.sinceBegan} ${this.#worker.name}: the connection is cut`);
    this.#connection += 1;
    const cut = this.#unanswered;
    this.#unanswered = [];
    this.#applyLate(cut);
    for (const command of cut) {
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
    this.#applyLate(this.#unanswered);
    this.#unanswered = [];
  }

  /** Of what was sent on one connection, the server has received a part from the beginning. */
  #applyLate(cut: readonly Command[]): void {
    const received: Command[] = [];
    for (const command of cut.filter((it) => !it.outcome)) {
      if (this.#world.pick([true, false])) received.push(command);
      else if (this.#onCut === "resend") break;
    }
    const late = [...received];
    for (const command of received) {
      this.#world.post(`the server is late at ${command.name}`, () => {
        this.#world.isLate = true;
        carryOut(this.#onCut === "resend" ? (late.shift() as Command) : command);
        this.#world.isLate = false;
      });
    }
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
