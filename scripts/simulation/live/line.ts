import type { Message } from "@lanai/pubsub";
import { PubSubError } from "@lanai/pubsub";
import type { OnCut } from "../link.ts";
import type { Worker, World } from "../world.ts";
import type { Broker, BrokerSession } from "./broker.ts";
import { Wire } from "./wire.ts";

type Apply = (session: BrokerSession) => unknown;

interface Command {
  readonly name: string;
  readonly apply: Apply;
  readonly settle: (outcome: Outcome) => void;
  /** Whether it may be sent again on the next connection. */
  readonly isRepeatable: boolean;
}

type Outcome = { readonly value: unknown } | { readonly error: unknown };

/** What goes over the wire: a command to the server, or to the client an answer or a message. */
type Frame =
  | { readonly id: number; readonly apply: Apply }
  | { readonly id: number; readonly outcome: Outcome }
  | { readonly topic: number; readonly message: Message };

export interface LineOptions {
  readonly world: World;
  readonly worker: Worker;
  readonly broker: Broker;
  readonly name: string;
  readonly onCut: OnCut;
  readonly onMessage: (topic: number, message: Message) => void;
  readonly onOpen: () => void;
  readonly onLost: () => void;
}

/** After which a command without an answer rejects, in milliseconds. */
const TIMEOUT = 3_000;
/** The longest wait before the next connection, in milliseconds. */
const MOST_WAIT = 500;

export const unavailable = (): PubSubError =>
  new PubSubError("ERR_PUBSUB_UNAVAILABLE", "the bus is unreachable");

/**
 * A worker's connection to the server of the bus, which comes back by itself. To send a command, to apply
 * and to answer it are events, and so is the arrival of each message.
 */
export class BusLine {
  readonly #options: LineOptions;
  #wire: Wire<Frame> | undefined;
  #session: BrokerSession | undefined;
  #unanswered = new Map<number, Command>();
  #last = 0;
  #isClosed = false;

  constructor(options: LineOptions) {
    this.#options = options;
    this.#connect();
  }

  get isOpen(): boolean {
    return this.#wire !== undefined;
  }

  #connect(): void {
    const { world, worker, broker, name } = this.#options;
    const wire: Wire<Frame> = new Wire(world, `${name} of ${worker.name}`, [
      {
        worker,
        receive: (frame) => this.#receive(frame),
        lost: () => this.#lost(wire),
      },
      {
        receive: (frame) => "apply" in frame && void this.#apply(wire, session, frame),
        lost: () => session.close(),
      },
    ]);
    const session = broker.accept((topic, message) => wire.send(0, { topic, message }));
    this.#wire = wire;
    this.#session = session;
  }

  async #apply(
    wire: Wire<Frame>,
    session: BrokerSession,
    { id, apply }: { id: number; apply: Apply },
  ): Promise<void> {
    let outcome: Outcome;
    try {
      outcome = { value: await apply(session) };
    } catch (error) {
      outcome = { error };
    }
    wire.send(0, { id, outcome });
  }

  #receive(frame: Frame): void {
    if ("topic" in frame) this.#options.onMessage(frame.topic, frame.message);
    else if ("outcome" in frame) this.#settle(frame.id, frame.outcome);
  }

  #settle(id: number, outcome: Outcome): void {
    const command = this.#unanswered.get(id);
    this.#unanswered.delete(id);
    command?.settle(outcome);
  }

  #lost(wire: Wire<Frame>): void {
    if (this.#wire !== wire) return;
    const { world, onCut, onLost } = this.#options;
    this.#wire = undefined;
    // The server reads nothing more of this client on the old connection once there is a new one.
    for (const [id, { isRepeatable }] of this.#unanswered) {
      if (onCut === "reject" || !isRepeatable) this.#settle(id, { error: unavailable() });
    }
    onLost();
    if (this.#isClosed) return;
    setTimeout(() => {
      wire.drop(1);
      wire.tell(1);
      this.#connect();
      for (const [id, { apply }] of this.#unanswered) this.#wire?.send(1, { id, apply });
      this.#options.onOpen();
    }, world.time(MOST_WAIT));
  }

  /** Sends a command; rejects with `ERR_PUBSUB_UNAVAILABLE` if there is no answer in time. */
  call<T>(
    name: string,
    apply: (session: BrokerSession) => T | Promise<T>,
    isRepeatable = true,
  ): Promise<T> {
    if (this.#isClosed || (!this.#wire && (this.#options.onCut === "reject" || !isRepeatable))) {
      return Promise.reject(unavailable());
    }
    this.#last += 1;
    const id = this.#last;
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => this.#settle(id, { error: unavailable() }), TIMEOUT);
      const settle = (outcome: Outcome): void => {
        clearTimeout(timer);
        if ("error" in outcome) reject(outcome.error);
        else resolve(outcome.value as T);
      };
      this.#unanswered.set(id, { name, apply, settle, isRepeatable });
      this.#wire?.send(1, { id, apply });
    });
  }

  /** Breaks the connection. With `isUnaware` the worker notices it only after `ms`. */
  cut(isUnaware: boolean, ms: number): void {
    const wire = this.#wire;
    if (!wire?.isWhole) return;
    wire.cut(isUnaware ? [0] : []);
    if (isUnaware) this.#options.world.at(() => wire.tell(0), ms);
  }

  /** For `ms` nothing is delivered that the bus retains. */
  stall(ms: number): void {
    const goOn = this.#session?.stall();
    if (goOn) this.#options.world.at(goOn, ms);
  }

  close(): void {
    this.#isClosed = true;
    this.#wire?.cut();
  }
}
