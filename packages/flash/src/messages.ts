import { channel } from "node:diagnostics_channel";
import type { Entries } from "@lanai/session";
import { FlashError } from "./errors.ts";
import {
  checkLevel,
  type FlashLevel,
  type FlashMessage,
  type FlashText,
  messageOf,
  type Stored,
  stored,
} from "./message.ts";
import { namesAfter } from "./names.ts";

/** What messages need of a session. */
export interface FlashSession {
  load(): Promise<unknown>;
  namespace<T>(name: string): Entries<T>;
}

export interface MessagesSettings {
  /** @throws {FlashError} `ERR_FLASH_NO_SESSION` */
  readonly session: () => FlashSession;
  /** Whether nobody will see the answer. */
  readonly showsNothing: () => boolean;
  readonly maxMessages: number;
}

/** What `lanai:flash:dropped` on `node:diagnostics_channel` tells: nobody has seen these messages. */
export interface FlashDropped {
  readonly level: "warn";
  readonly count: number;
}

const dropped = channel("lanai:flash:dropped");

/** What one request does with the messages of its visitor. */
export class Messages {
  readonly #settings: MessagesSettings;
  /** Both by their names in the session: those that only this request has, and those it took. */
  readonly #now = new Map<string, Stored>();
  readonly #taken = new Map<string, Stored>();
  #nextName: (() => string) | undefined;
  #added = 0;

  constructor(settings: MessagesSettings) {
    this.#settings = settings;
  }

  add(message: FlashText, level?: FlashLevel, data?: unknown): void {
    const entry = stored(message, level, data);
    const { maxMessages } = this.#settings;
    if (this.#added === maxMessages) {
      throw new FlashError(
        "ERR_FLASH_TOO_MANY",
        `this request has left ${maxMessages} messages, which is maxMessages: tell it in fewer`,
      );
    }
    this.#store(this.#name(), entry);
    this.#added++;
  }

  now(message: FlashText, level?: FlashLevel, data?: unknown): void {
    const entry = stored(message, level, data);
    this.#now.set(this.#name(), entry);
  }

  async pop(level?: FlashLevel): Promise<FlashMessage[]> {
    if (this.#settings.showsNothing()) return [];
    const taken = [...(await this.#take(level)), ...of(level, this.#now)];
    for (const [name, entry] of taken) {
      this.#now.delete(name);
      this.#taken.set(name, entry);
    }
    return inOrder(taken);
  }

  peek(level?: FlashLevel): FlashMessage[] {
    const waiting = this.#names(level).map((name) => [name, this.#read(name)] as const);
    return inOrder([...waiting, ...of(level, this.#now)]);
  }

  keep(level?: FlashLevel): void {
    for (const had of [this.#taken, this.#now]) {
      for (const [name, entry] of of(level, had)) {
        this.#store(name, entry);
        had.delete(name);
      }
    }
  }

  /** For a life of one request: from here on what is waiting is this request's, and nobody else's. */
  async inherit(): Promise<void> {
    if (this.#settings.showsNothing()) return;
    for (const [name, entry] of await this.#take()) this.#now.set(name, entry);
  }

  async #take(level?: FlashLevel): Promise<Map<string, Stored>> {
    await this.#settings.session().load();
    const names = this.#names(level);
    // Asking when there is nothing costs nothing, also after the head has left.
    if (names.length === 0) return new Map();
    return (await this.#entries.popMany(names)) as Map<string, Stored>;
  }

  /** Those that wait in the session, sorted. */
  #names(level?: FlashLevel): string[] {
    const names = this.#entries.keys();
    return level === undefined ? names : names.filter((name) => this.#read(name)[0] === level);
  }

  #name(): string {
    this.#nextName ??= namesAfter([
      ...this.#entries.keys(),
      ...this.#now.keys(),
      ...this.#taken.keys(),
    ]);
    return this.#nextName();
  }

  /** Nothing fails for what the visitor never came to see: the oldest give way. */
  #store(name: string, entry: Stored): void {
    const entries = this.#entries;
    entries.set(name, entry);
    const names = entries.keys();
    const count = names.length - this.#settings.maxMessages;
    if (count <= 0) return;
    for (const old of names.slice(0, count)) entries.delete(old);
    const event: FlashDropped = { level: "warn", count };
    dropped.publish(event);
  }

  #read(name: string): Stored {
    return this.#entries.get(name) as Stored;
  }

  get #entries(): Entries<Record<string, Stored>> {
    return this.#settings.session().namespace<Record<string, Stored>>("flash");
  }
}

type Named = readonly [name: string, entry: Stored];

const of = (level: FlashLevel | undefined, entries: ReadonlyMap<string, Stored>): Named[] => {
  if (level !== undefined) checkLevel(level);
  return [...entries].filter(([, [its]]) => level === undefined || its === level);
};

const inOrder = (entries: readonly Named[]): FlashMessage[] =>
  entries.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => messageOf(entry));
