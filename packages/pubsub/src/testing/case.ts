import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { PubSubError } from "../errors.ts";
import { bytesOf, textOf } from "../payload.ts";
import type { Gap, Message, PubSub, SubscribeOptions, Subscription } from "../pubsub.ts";
import { hasStreams, type StreamConfig, type Streams } from "../streams.ts";

/**
 * What a backend may lack.
 *
 * - `network`: several instances share a broker, and the connection to it can be lost.
 * - `restart`: that broker can be killed and started again, with the data it had stored.
 */
export type Feature = "network" | "restart";

export interface OpenedPubSub {
  readonly backend: PubSub & Streams;
  /** Another instance on the same broker, in the place of another process. With `network`. */
  readonly again?: PubSub & Streams;
  /** Kills the broker and starts it again, with the data it had stored. With `restart`. */
  restart?(): Promise<void>;
  /**
   * How many subscriptions of the instances the broker knows now, those for control aside. With
   * `network`.
   */
  wire?(): Promise<number>;
  /** Lets time go by for the backend. Without it the suite waits for real, some tenths of a second. */
  advance?(ms: number): void | Promise<void>;
  /** Lets go of the rest; the suite closes the instances. */
  close?(): void | Promise<void>;
}

export interface Case {
  /** Begins with the law. */
  readonly name: string;
  /** Runs only where this is offered. */
  readonly needs?: Feature;
  run(at: Place): Promise<void>;
}

/** A subscription and all that it was told. */
export interface Listener {
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
  ): Promise<Listener> {
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

export const closeAll = async (opened: OpenedPubSub): Promise<void> => {
  await Promise.all([opened.backend.close(), opened.again?.close()]);
  await opened.close?.();
};

/** Waits for what must come; fails after `ms`. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  ms = 10_000,
): Promise<void> {
  const end = Date.now() + ms;
  while (!(await holds())) {
    if (Date.now() > end) assert.fail(`waited ${ms} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** `first`, `first + 1`, … as texts. */
export const numbers = (first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, i) => String(first + i));

export async function rejects(promise: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(promise, (error: Partial<PubSubError>) => {
    assert.equal(error.code, code);
    return true;
  });
}
