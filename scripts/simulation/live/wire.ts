import type { Worker, World } from "../world.ts";

/** One end of a {@link Wire}. */
export interface WireEnd<Message> {
  /** The process at this end; a server that is no part of the app has none. */
  readonly worker?: Worker | undefined;
  receive(message: Message): void;
  /** The connection is lost, as far as this end can see. */
  lost(): void;
}

type Side = 0 | 1;

/**
 * A connection between two processes. Each side receives what the other has sent in its order, and each
 * arrival is an event. When the connection is cut, some of what is on its way still arrives, and the
 * rest is lost.
 */
export class Wire<Message> {
  readonly #world: World;
  readonly #name: string;
  readonly #ends: readonly [WireEnd<Message>, WireEnd<Message>];
  #isWhole = true;
  /** What is on its way to each side; `undefined` is the loss of the connection. */
  readonly #onItsWay: readonly [(Message | undefined)[], (Message | undefined)[]] = [[], []];

  constructor(world: World, name: string, ends: readonly [WireEnd<Message>, WireEnd<Message>]) {
    this.#world = world;
    this.#name = name;
    this.#ends = ends;
  }

  get isWhole(): boolean {
    return this.#isWhole;
  }

  send(to: Side, message: Message): void {
    if (this.#isWhole) this.#add(to, message);
  }

  #add(to: Side, message: Message | undefined): void {
    const way = this.#onItsWay[to];
    const end = this.#ends[to];
    way.push(message);
    const text = message === undefined ? "is lost" : "delivers";
    this.#world.post(
      `${this.#name} ${text}${end.worker ? ` to ${end.worker.name}` : ""}`,
      () => {
        if (way.length === 0) return;
        const next = way.shift();
        if (next === undefined) end.lost();
        else end.receive(next);
      },
      { worker: end.worker, way },
    );
  }

  /** Nothing that is on its way to this side arrives any more. */
  drop(to: Side): void {
    this.#onItsWay[to].length = 0;
  }

  /** Breaks the connection. A side in `unaware` isn't told: it has to find out by itself. */
  cut(unaware: readonly Side[] = []): void {
    if (!this.#isWhole) return;
    this.#isWhole = false;
    this.#world.note(`${this.#name} is cut`);
    for (const side of [0, 1] as const) {
      const way = this.#onItsWay[side];
      const arriving = this.#world.pick(
        Array.from({ length: way.length + 1 }, (_, count) => count),
      );
      way.length = arriving;
      if (!unaware.includes(side)) this.#add(side, undefined);
    }
  }

  /** Tells a side that the connection is lost. */
  tell(side: Side): void {
    this.#add(side, undefined);
  }
}
