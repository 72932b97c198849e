import { eventsOf } from "@lanai/connection/events";
import type { Entries, Session } from "@lanai/session";
import { extend } from "@lanai/session/extension";
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

export interface MessagesSettings {
  /** @throws {FlashError} `ERR_FLASH_NO_SESSION` */
  readonly session: () => Session;
  /** Whether nobody will see the answer. */
  readonly showsNothing: () => boolean;
  readonly maxMessages: number;
}

/**
 * The message of `lanai:flash:dropped` on `node:diagnostics_channel`: nobody has seen these
 * messages.
 */
export interface FlashDropped {
  readonly level: "warn";
  readonly count: number;
}

const events = eventsOf<{ dropped: FlashDropped }>("lanai:flash", ["dropped"]);

/** The messages of a visitor, and the changes that one request makes to them. */
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
        `this request has left ${maxMessages} messages, which is maxMessages: leave fewer`,
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
    extend(this.#settings.session()).whenTooLarge(() => this.#dropOldest());
    const names = entries.keys();
    const count = names.length - this.#settings.maxMessages;
    if (count <= 0) return;
    for (const old of names.slice(0, count)) entries.delete(old);
    events.emit("dropped", { level: "warn", count });
  }

  /**
   * For a store with few bytes: a visitor who never looks must not break a page. The newest message of
   * this request stays: one that doesn't fit alone is an error.
   */
  #dropOldest(): boolean {
    const [oldest, next] = this.#entries.keys();
    if (oldest === undefined || (next === undefined && this.#added > 0)) return false;
    this.#entries.delete(oldest);
    events.report("dropped", "too large", { level: "warn", count: 1 });
    return true;
  }

  #read(name: string): Stored {
    return this.#entries.get(name) as Stored;
  }

  get #entries(): Entries<Record<string, Stored>> {
    return extend(this.#settings.session()).namespace<Record<string, Stored>>("flash");
  }
}

type Named = readonly [name: string, entry: Stored];

function of(level: FlashLevel | undefined, entries: ReadonlyMap<string, Stored>): Named[] {
  if (level !== undefined) checkLevel(level);
  return [...entries].filter(([, [its]]) => level === undefined || its === level);
}

const inOrder = (entries: readonly Named[]): FlashMessage[] =>
  entries.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => messageOf(entry));
