import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { bytesOf, textOf } from "../calls/payload.ts";
import type { PubSubError } from "../errors.ts";
import type { Gap, Message, PubSub, SubscribeOptions, Subscription } from "../pubsub.ts";
import { hasStreams, type StreamConfig, type Streams } from "../streams.ts";

/**
 * The features that a backend may lack.
 *
 * - `network`: several instances share a broker, and the connection to it can be lost.
 * - `restart`: that broker can be killed and started again, with the data it had stored.
 */
export type Feature = "network" | "restart";

/** A backend that was opened for one test case, with what its features need. */
export interface OpenedPubSub {
  /** The backend to test. */
  readonly backend: PubSub & Streams;
  /** Another instance on the same broker, as another process would have it. Only with `network`. */
  readonly again?: PubSub & Streams;
  /**
   * Breaks connections of the instances; their clients reconnect. Optional; only with `network`.
   */
  cut?(): void | Promise<void>;
  /** Kills the broker and starts it again with its stored data. Only with `restart`. */
  restart?(): Promise<void>;
  /**
   * Resolves to the number of subscriptions that the broker holds for the instances, without those
   * that the backend needs for itself. Only with the feature `network`.
   */
  wire?(): Promise<number>;
  /** Moves the backend's clock forward. Without it the suite waits some tenths of a second. */
  advance?(ms: number): void | Promise<void>;
  /** Closes everything else; the suite closes the instances. */
  close?(): void | Promise<void>;
}

export interface Case {
  /** Begins with the law. */
  readonly name: string;
  /** Runs only where this is offered. */
  readonly needs?: Feature;
  run(at: Place): Promise<void>;
}

/** A subscription with everything that it has received. */
export interface RecordedSubscription {
  readonly subscription: Subscription;
  readonly messages: Message[];
  /** The texts of the messages. */
  readonly texts: string[];
  readonly errors: PubSubError[];
  readonly gaps: Gap[];
}

/** Where a case runs: a freshly opened backend, names of its own, and the calls most cases share. */
export class Place {
  readonly backend: PubSub & Streams;
  readonly again: PubSub & Streams;
  readonly opened: OpenedPubSub;
  readonly seed: number;
  /** Opens one more of the same. */
  readonly open: () => Promise<OpenedPubSub>;
  /** A first token, so that cases may share a broker. */
  readonly prefix: string = `t${randomBytes(6).toString("hex")}`;

  constructor(opened: OpenedPubSub, seed: number, open: () => Promise<OpenedPubSub>) {
    this.opened = opened;
    this.open = open;
    this.backend = opened.backend;
    this.again = opened.again ?? opened.backend;
    this.seed = seed;
    assert.ok(hasStreams(opened.backend), "the backend has publish, subscribe and streams");
  }

  subject(name: string): string {
    return `${this.prefix}.${name}`;
  }

  /** Makes a stream over `subjects`, by default over everything that the case publishes. */
  async stream(config: Partial<StreamConfig> = {}): Promise<void> {
    const subjects = config.subjects ?? [">"];
    await this.backend.ensureStream({
      ...config,
      name: config.name ?? this.prefix,
      subjects: subjects.map((it) => this.subject(it)),
    });
  }

  async listen(
    name: string,
    options: SubscribeOptions & {
      readonly on?: PubSub;
      readonly handle?: (message: Message) => unknown;
    } = {},
  ): Promise<RecordedSubscription> {
    const { on = this.backend, handle, ...others } = options;
    const messages: Message[] = [];
    const texts: string[] = [];
    const errors: PubSubError[] = [];
    const gaps: Gap[] = [];
    const subscription = await on.subscribe(
      this.subject(name),
      (message) => {
        messages.push(message);
        texts.push(Buffer.from(bytesOf(message.data)).toString());
        return handle?.(message);
      },
      { onError: (error) => errors.push(error), onGap: (gap) => gaps.push(gap), ...others },
    );
    return { subscription, messages, texts, errors, gaps };
  }

  async publish(name: string, ...texts: readonly string[]): Promise<void> {
    for (const text of texts) await this.backend.publish(this.subject(name), text);
  }

  async history(name: string, limit: number = Infinity): Promise<string[]> {
    const messages = await this.backend.history(this.subject(name), limit);
    return messages.map(({ data }) => textOf(data));
  }
}

export async function closeAll(opened: OpenedPubSub): Promise<void> {
  await Promise.all([opened.backend.close(), opened.again?.close()]);
  await opened.close?.();
}

/**
 * Waits for what must come. Gives up after `ms` milliseconds of an idle machine, counted in turns of
 * the event loop: on a busy one each takes longer, as does everything that is waited for.
 */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  ms = 30_000,
): Promise<void> {
  for (let turns = 0; !(await holds()); turns++) {
    if (turns * POLL > ms) assert.fail(`waited ${turns} turns in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
}

/** The time between two checks, in milliseconds. */
const POLL = 2;

/** `first`, `first + 1`, … as texts. */
export const numbers = (first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, i) => String(first + i));

export async function rejects(promise: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(promise, (error: Partial<PubSubError>) => {
    assert.equal(error.code, code);
    return true;
  });
}
