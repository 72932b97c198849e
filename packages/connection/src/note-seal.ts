import { createHmac, hkdfSync, type KeyObject, timingSafeEqual } from "node:crypto";
import { parseJson } from "./json.ts";

/** A message between processes; the other properties depend on the subject. */
export interface Note {
  /** The version of this format. A note of another version is ignored. */
  readonly v: 1;
  /** The process that published it. */
  readonly node: string;
  readonly [name: string]: unknown;
}

/**
 * The reason why a note was refused.
 *
 * - `unsigned`, `signed`: one of two processes has `keys`, and the other doesn't.
 * - `forged`: no key that this process has signed it, or not for this subject.
 * - `repeated`: a later note of its sender has been received on this subject.
 * - `late`: the first note of a sender on this subject, and older than `window`, or as far ahead.
 */
type RefusedNote = "unsigned" | "signed" | "forged" | "repeated" | "late";

/** The result of reading a note. */
export type OpenedNote =
  | { readonly status: "accepted"; readonly note: Note }
  | { readonly status: "refused"; readonly reason: RefusedNote }
  /** No note at all. */
  | { readonly status: "ignored" };

/** The last counter and time of each sender, on one subject. */
export type Received = Map<string, { counter: number; time: number }>;

/** The options of a {@link NoteSeal}. */
export interface NoteSealOptions {
  /** The sender of the notes: this process. */
  readonly node: string;
  /** The package that writes the notes: no other one accepts them. */
  readonly purpose: string;
  /** The first signs, all verify. Default: none, and notes carry no MAC. */
  readonly keys?: readonly KeyObject[] | undefined;
  /**
   * The greatest age of the first note of a sender, in milliseconds. A process that has just subscribed
   * can't know what was said before, so the time keeps old notes from it. On a retained subject it must
   * exceed the time of retention. Default: 60,000.
   */
  readonly window?: number;
}

const WINDOW = 60_000;
/** The most senders that are remembered on a subject before those that have been silent are dropped. */
const MAX_SENDERS = 1_000;
/** The length of a MAC in base64url. */
const MAC = 43;

/**
 * Writes and reads the notes of one process. With keys, each note carries a MAC (HMAC-SHA-256) over its
 * subject, sender, counter, time and content. The counter of a sender only grows, so a note that is
 * repeated or comes after a later one is refused, however old it is.
 */
export class NoteSeal {
  readonly #node: string;
  readonly #keys: readonly Buffer[];
  readonly #window: number;
  #counter = 0;

  constructor({ node, purpose, keys = [], window = WINDOW }: NoteSealOptions) {
    this.#node = node;
    this.#window = window;
    this.#keys = keys.map((key) =>
      Buffer.from(hkdfSync("sha256", key, "", `${purpose} notes`, 32)),
    );
  }

  /** Returns the text of a note. */
  write(subject: string, content: Readonly<Record<string, unknown>>): string {
    const [key] = this.#keys;
    if (key === undefined) return JSON.stringify({ v: 1, node: this.#node, ...content });
    this.#counter += 1;
    const text = JSON.stringify({
      ...{ v: 1, node: this.#node, counter: this.#counter, time: Date.now() },
      ...content,
    });
    return mac(key, subject, text) + text;
  }

  /** Reads what came on a subject, and remembers in `received` which notes of its sender count. */
  read(subject: string, data: string, received: Received): OpenedNote {
    const isSigned = !data.startsWith("{");
    const note = parseNote(isSigned ? data.slice(MAC) : data);
    if (note === undefined) return { status: "ignored" };
    if (this.#keys.length === 0) {
      return isSigned ? refused("signed") : { status: "accepted", note };
    }
    if (!isSigned) return refused("unsigned");
    const [given, text] = [data.slice(0, MAC), data.slice(MAC)];
    if (!this.#keys.some((key) => isEqual(mac(key, subject, text), given))) {
      return refused("forged");
    }
    return this.#order(note, received);
  }

  #order(note: Note, received: Received): OpenedNote {
    const { node, counter, time } = note;
    if (typeof counter !== "number" || typeof time !== "number") return { status: "ignored" };
    const last = received.get(node);
    const age = Math.abs(Date.now() - time);
    if (last === undefined && age > this.#window) return refused("late");
    if (last !== undefined && counter <= last.counter) return refused("repeated");
    received.delete(node);
    received.set(node, { counter, time });
    if (received.size > MAX_SENDERS) this.#forget(received);
    return { status: "accepted", note };
  }

  /** Drops senders whose every note is late by now, those that have been silent longest first. */
  #forget(received: Received): void {
    for (const [node, { time }] of received) {
      if (Math.abs(Date.now() - time) <= 2 * this.#window) return;
      received.delete(node);
    }
  }
}

const refused = (reason: RefusedNote): OpenedNote => ({ status: "refused", reason });

const mac = (key: Buffer, subject: string, text: string): string =>
  createHmac("sha256", key).update(`${subject}\0${text}`).digest("base64url");

function isEqual(expected: string, given: string): boolean {
  const [a, b] = [Buffer.from(expected), Buffer.from(given)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function parseNote(text: string): Note | undefined {
  try {
    const note = parseJson(text) as Note | null;
    return note?.v === 1 && typeof note.node === "string" ? note : undefined;
  } catch {
    return undefined;
  }
}
