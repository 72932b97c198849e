import {
  type Message,
  memoryPubSub,
  type Payload,
  type PublishOptions,
  type StreamConfig,
  type Streams,
  type Subscription,
} from "@lanai/pubsub";
import type { World } from "../world.ts";

/** What a subscription begins with: everything in one step of the server. */
export interface Start {
  readonly past: readonly Message[];
  /** The position before the first of them; `undefined` on a subject that isn't retained. */
  readonly cursor: string | undefined;
  readonly recovered: boolean | undefined;
}

export interface From {
  readonly since?: string | undefined;
  readonly replay?: number;
}

type Push = (topic: number, message: Message) => void;

/** The server of the bus. It takes each publish once, however often a client sends it. */
export class Broker {
  readonly #server;
  readonly #taken = new Set<string>();

  constructor(world: World) {
    this.#server = memoryPubSub({ clock: () => world.now });
  }

  async publish(
    operation: string,
    subject: string,
    data: Payload,
    options: PublishOptions,
  ): Promise<void> {
    if (this.#taken.has(operation)) return;
    this.#taken.add(operation);
    await this.#server.publish(subject, data, options);
  }

  history(...args: Parameters<Streams["history"]>): Promise<Message[]> {
    return this.#server.history(...args);
  }

  ensureStream(config: StreamConfig): Promise<void> {
    return this.#server.ensureStream(config);
  }

  /** Calls `see` with everything that is stored or delivered from now on. */
  watch(subject: string, see: (message: Message) => void): void {
    void this.#server.subscribe(subject, see);
  }

  /** A client has connected. */
  accept(push: Push): BrokerSession {
    return new BrokerSession(this.#server, push);
  }
}

/** A client's connection, as the server sees it. */
export class BrokerSession {
  readonly #server;
  readonly #push: Push;
  readonly #topics = new Map<number, Promise<Subscription>>();
  /** What is retained and waits, while it is stalled. */
  #stalled: (() => void)[] | undefined;

  constructor(server: ReturnType<typeof memoryPubSub>, push: Push) {
    this.#server = server;
    this.#push = push;
  }

  async subscribe(topic: number, subject: string, from: From): Promise<Start> {
    await this.unsubscribe(topic);
    const past: Message[] = [];
    let isLive = false;
    const subscribing = this.#server.subscribe(
      subject,
      (message) => (isLive ? this.#deliver(topic, message) : void past.push(message)),
      from,
    );
    // The history was read within the call.
    isLive = true;
    this.#topics.set(topic, subscribing);
    const subscription = await subscribing.catch((error: unknown) => {
      this.#topics.delete(topic);
      throw error;
    });
    const [first] = past;
    const cursor = first?.id === undefined ? subscription.cursor : before(first.id);
    return { past, cursor, recovered: subscription.recovered };
  }

  #deliver(topic: number, message: Message): void {
    const push = () => this.#push(topic, message);
    if (this.#stalled && message.id !== undefined) this.#stalled.push(push);
    else push();
  }

  /** Delivers nothing that is retained until the function that it returns is called. */
  stall(): () => void {
    this.#stalled ??= [];
    return () => {
      const stalled = this.#stalled ?? [];
      this.#stalled = undefined;
      for (const push of stalled) push();
    };
  }

  async unsubscribe(topic: number): Promise<void> {
    const subscription = this.#topics.get(topic);
    this.#topics.delete(topic);
    await (await subscription)?.unsubscribe();
  }

  /** The server has noticed that the client is gone. */
  close(): void {
    for (const topic of this.#topics.keys()) void this.unsubscribe(topic);
  }
}

/** The stream of a message and its position there. */
export interface Place {
  readonly stream: string;
  readonly position: number;
}

export function placeOf(cursor: string | undefined): Place | undefined {
  const [, stream, digits] = /^(.+)\.(\d+)$/.exec(cursor ?? "") ?? [];
  return stream === undefined ? undefined : { stream, position: Number(digits) };
}

function before(cursor: string): string | undefined {
  const place = placeOf(cursor);
  return place && `${place.stream}.${place.position - 1}`;
}
