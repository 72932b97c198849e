import assert from "node:assert/strict";
import { matchesSubject } from "../subjects/subject.ts";
import { type Case, type Place, type RecordedSubscription, until } from "./case.ts";
import { type Random, randomFrom } from "./random.ts";

const SUBJECTS = ["a.x", "a.y", "b.x"] as const;
const PATTERNS = ["a.x", "a.*", "*.x", "b.x", ">"] as const;
/** The subjects that the stream retains in turn: all, some, or others only. */
const RETAINED = [["a.>"], ["a.>", "b.>"], ["b.>"], ["a.x", "b.x"], ["c.>"]] as const;
const INSTANCES = ["backend", "again"] as const;

/** Steps of one order of events. */
const STEPS = 60;

type Subject = (typeof SUBJECTS)[number];
type Instance = (typeof INSTANCES)[number];

interface Published {
  readonly by: Instance;
  readonly subject: Subject;
  readonly number: number;
  isDone: boolean;
}

interface Subscribed {
  readonly listener: RecordedSubscription;
  readonly pattern: string;
  /** The number of messages that had been published when `subscribe` resolved. */
  readonly since: number;
  isOver: boolean;
}

/** One order of events, and what the laws say of what came of it. */
class Order {
  readonly #at: Place;
  readonly #random: Random;
  readonly #published: Published[] = [];
  readonly #pending = new Set<Promise<unknown>>();
  readonly #subscribed: Subscribed[] = [];
  /** The steps so far, for the message of a failure. */
  readonly #steps: string[] = [];

  constructor(at: Place, random: Random) {
    this.#at = at;
    this.#random = random;
  }

  async play(): Promise<void> {
    await this.#ensure();
    for (let step = 0; step < STEPS; step++) await this.#step();
    await this.#settle();
    await this.#comeToRest();
    for (const subscribed of this.#subscribed) this.#check(subscribed);
  }

  #one<T>(all: readonly T[]): T {
    return all[this.#random(all.length)] as T;
  }

  async #step(): Promise<void> {
    const choice = this.#random(16);
    if (choice < 8) {
      for (let n = this.#random(6); n >= 0; n--) this.#publish(this.#one(INSTANCES));
    } else if (choice < 10) {
      await this.#settle();
    } else if (choice < 12) {
      await this.#subscribe();
    } else if (choice < 13) {
      await this.#unsubscribe();
    } else if (choice < 15) {
      await this.#ensure();
    } else {
      this.#steps.push("cut");
      await this.#at.opened.cut?.();
    }
    // Some steps come in one turn of the event loop, others after some.
    for (let turns = this.#random(4); turns > 0; turns--) await new Promise(setImmediate);
  }

  #publish(by: Instance, subject: Subject = this.#one(SUBJECTS)): void {
    const published = { by, subject, number: this.#published.length, isDone: false };
    this.#published.push(published);
    const text = `${by} ${published.number}`;
    const call = this.#at[by].publish(this.#at.subject(subject), text).then(
      () => {
        published.isDone = true;
      },
      (error: { code?: unknown }) => assert.equal(error.code, "ERR_PUBSUB_UNAVAILABLE"),
    );
    this.#pending.add(call);
    void call.finally(() => this.#pending.delete(call)).catch(() => {});
  }

  async #settle(): Promise<void> {
    await Promise.all(this.#pending);
  }

  async #subscribe(): Promise<void> {
    const pattern = this.#one(PATTERNS);
    const on = this.#at[this.#one(INSTANCES)];
    const since = this.#one([undefined, this.#cursor()]);
    const replay = this.#one([0, 0, 5, Infinity]);
    this.#steps.push(`subscribe ${pattern} ${since ?? replay}`);
    const options = since === undefined ? { replay } : { since };
    try {
      const listener = await this.#at.listen(pattern, { ...options, on });
      const { length } = this.#published;
      this.#subscribed.push({ listener, pattern, since: length, isOver: false });
    } catch (error) {
      const { code } = error as { code?: unknown };
      assert.ok(
        code === "ERR_PUBSUB_NOT_RETAINED" || code === "ERR_PUBSUB_UNAVAILABLE",
        `subscribe rejects with ${code}: ${this.#told()}`,
      );
    }
  }

  /** Returns a cursor of any subscription, as a returning client would send one. */
  #cursor(): string | undefined {
    if (this.#subscribed.length === 0) return undefined;
    return this.#one(this.#subscribed).listener.subscription.cursor;
  }

  async #unsubscribe(): Promise<void> {
    const open = this.#subscribed.filter(({ isOver }) => !isOver);
    if (open.length < 4) return;
    const one = this.#one(open);
    one.isOver = true;
    await one.listener.subscription.unsubscribe();
  }

  async #ensure(): Promise<void> {
    const subjects = this.#one(RETAINED).map((it) => this.#at.subject(it));
    this.#steps.push(`ensure ${subjects}`);
    const call = this.#at[this.#one(INSTANCES)].ensureStream({ name: this.#at.prefix, subjects });
    await call.catch(({ code }) => assert.equal(code, "ERR_PUBSUB_UNAVAILABLE"));
  }

  /** Publishes until everybody has heard the last message of both instances on each subject. */
  async #comeToRest(): Promise<void> {
    const open = this.#subscribed.filter(({ isOver }) => !isOver);
    let most = 0;
    await until(`everybody hears again: ${this.#told()}`, async () => {
      // Longer from try to try: on a busy machine each message may take its time.
      most += 50;
      const first = this.#published.length;
      for (const by of INSTANCES) for (const subject of SUBJECTS) this.#publish(by, subject);
      await this.#settle();
      const last = this.#published.slice(first);
      const isHeard = () => open.every((one) => last.every((it) => this.#hears(one, it)));
      for (let polls = 0; polls < most && !isHeard(); polls++) {
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      return isHeard();
    });
  }

  #hears({ listener, pattern }: Subscribed, { by, subject, number }: Published): boolean {
    return !matchesSubject(pattern, subject) || listener.texts.includes(`${by} ${number}`);
  }

  #check(subscribed: Subscribed): void {
    const { listener, pattern, since, isOver } = subscribed;
    const { messages, texts, gaps, errors, subscription } = listener;
    const told = () => `${pattern} heard ${texts.join(", ")} after ${this.#told()}`;
    for (const by of INSTANCES) {
      for (const subject of SUBJECTS) {
        const numbers = messages.flatMap((message, n) => {
          const [publisher, number] = (texts[n] as string).split(" ");
          const isOf = publisher === by && message.subject === this.#at.subject(subject);
          return isOf ? [Number(number)] : [];
        });
        const wrong = numbers.findIndex((it, n) => n > 0 && it <= (numbers[n - 1] as number));
        assert.equal(wrong, -1, `${numbers[wrong]} comes after ${numbers[wrong - 1]}: ${told()}`);
      }
    }
    assert.deepEqual(errors, [], told());
    if (isOver) return;
    assert.notEqual(subscription.status, "closed", told());
    if (gaps.length > 0) return;
    const missing = this.#published.filter(
      (it) => it.isDone && it.number >= since && !this.#hears(subscribed, it),
    );
    assert.deepEqual(missing, [], `missing, and no gap is reported: ${told()}`);
  }

  #told(): string {
    return `${this.#steps.join("; ")} (seed ${this.#at.seed})`;
  }
}

export const orders: readonly Case[] = [
  {
    name: "P2, P10, P11: in any order of publish, subscribe, ensureStream and lost connections nothing is repeated, reordered or lost in silence",
    async run(at) {
      await new Order(at, randomFrom(at.seed)).play();
    },
  },
];
