import { after } from "@lanai/connection/deadline";
import type { Note } from "@lanai/connection/note-seal";
import type { Subscription } from "@lanai/pubsub";
import type { Notes } from "../bus/notes.ts";
import { type Frame, frameOf } from "../frame.ts";
import {
  type Difference,
  isIds,
  type Member,
  Members,
  MOST_AT_ONCE,
  membersIn,
} from "./members.ts";

export interface PresenceOptions {
  readonly notes: Notes;
  readonly subject: string;
  readonly node: string;
  readonly key: string;
  /** Sends what has changed to the tabs of this process. */
  readonly show: (frame: Frame) => void;
  /** Called if the bus rejects a note: it may be lost. */
  readonly onUnsent: () => void;
}

export const membersSubject = (scope: string, key: string): string => `${scope}.members.${key}`;

/** The note of a process that has no members in a channel. */
export const NOBODY = { word: "list", seq: 0, members: [], first: true, last: true } as const;

/** The time for which differences are gathered, in milliseconds. */
const GATHER = 100;
/** The longest wait for the lists of the other processes, in milliseconds. */
const LISTED = 5_000;

/**
 * The members of a channel in all processes. Each process sends its differences to the others, with a
 * number, and one that misses a number asks for everything. A process that then sends no list has no members
 * any more: the note that said so was missed, too.
 */
export class Presence {
  readonly #options: PresenceOptions;
  readonly #members = new Members();
  /** The number of the last note of each other process, and a list of it that is still coming. */
  readonly #nodes = new Map<string, { seq: number; list?: Member[] }>();
  #subscription: Subscription | undefined;
  #seq = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Processes with members whose lists have been requested and have not come. */
  #silent = new Set<string>();
  #stopWaiting: (() => void) | undefined;
  #isClosed = false;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    const { notes, subject } = this.#options;
    const subscription = await notes.subscribe(subject, (note) => this.#receive(note), {
      onGap: () => this.synchronise(),
    });
    this.#subscription = subscription;
    if (this.#isClosed) return subscription.unsubscribe();
    this.synchronise();
  }

  /** Requests everything from the others, and sends them everything. */
  synchronise(): void {
    this.#tell({ word: "ask" });
    this.#tellAll();
  }

  set(tab: string, member: Member): void {
    this.#members.set(tab, member);
    this.#soon();
  }

  delete(tab: string): void {
    if (this.#members.delete(tab)) this.#soon();
  }

  lose(node: string): void {
    this.#nodes.delete(node);
    if (this.#members.lose(node)) this.#soon();
  }

  /** The frames that show a tab who is there. */
  *snapshot(): Generator<Frame> {
    const { key: k } = this.#options;
    const [all = [], ...rest] = pagesOf(this.#members.shown);
    yield frameOf("members", { k, all });
    for (const come of rest) yield frameOf("members", { k, come, go: [] });
  }

  // ── between processes ──

  #receive(note: Note): void {
    const { node, word, seq } = note;
    if (node === this.#options.node) {
      if (word === "ask") this.#awaitLists();
      return;
    }
    if (word === "ask") this.#tellAll();
    if (typeof seq !== "number") return;
    if (word === "list") this.#receiveList(node, seq, note);
    if (word === "change") this.#receiveChange(node, seq, note);
  }

  /** The request of this process was delivered to itself, and so to the others. */
  #awaitLists(): void {
    if (this.#isClosed) return;
    this.#silent = new Set(this.#members.nodes);
    this.#stopWaiting?.();
    if (this.#silent.size === 0) return;
    const end = (): void => {
      for (const node of this.#silent) this.lose(node);
    };
    this.#stopWaiting = after(LISTED, end, { unref: true });
  }

  #receiveList(node: string, seq: number, note: Readonly<Record<string, unknown>>): void {
    const members = membersIn(note.members);
    if (members === undefined) return;
    const list = note.first === true ? [] : this.#nodes.get(node)?.list;
    if (list === undefined) return;
    list.push(...members);
    this.#nodes.set(node, note.last === true ? { seq } : { seq, list });
    if (note.last !== true) return;
    this.#members.replace(node, list);
    this.#silent.delete(node);
    this.#soon();
  }

  #receiveChange(node: string, seq: number, note: Readonly<Record<string, unknown>>): void {
    const { go } = note;
    const come = membersIn(note.come);
    if (come === undefined || !isIds(go)) return;
    const known = this.#nodes.get(node);
    // While a list is coming, what changes is in it or comes after it.
    if (known === undefined || seq !== known.seq + 1 || known.list) {
      this.#askAgain(node);
      return;
    }
    known.seq = seq;
    this.#members.change(node, { come, go });
    this.#soon();
  }

  #askAgain(node: string): void {
    this.#nodes.delete(node);
    this.#tell({ word: "ask" });
  }

  #tellAll(): void {
    this.#tellChanges();
    const pages = pagesOf(this.#members.told);
    if (pages.length === 0) pages.push([]);
    for (const [at, members] of pages.entries()) {
      const ends = { first: at === 0, last: at === pages.length - 1 };
      this.#tell({ word: "list", seq: this.#seq, members, ...ends });
    }
  }

  #tellChanges(): void {
    const difference = this.#members.toTell();
    for (const { come, go } of difference ? splitOf(difference) : []) {
      this.#seq += 1;
      this.#tell({ word: "change", seq: this.#seq, come, go });
    }
  }

  #tell(members: Readonly<Record<string, unknown>>): void {
    const { notes, subject, onUnsent } = this.#options;
    notes.publish(subject, members).catch(onUnsent);
  }

  // ── gathering ──

  #soon(): void {
    if (this.#isClosed) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#tellChanges();
      const difference = this.#members.toShow();
      const { key: k, show } = this.#options;
      for (const it of difference ? splitOf(difference) : []) {
        show(frameOf("members", { k, come: it.come, go: it.go }));
      }
    }, GATHER).unref();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#stopWaiting?.();
    this.#tell(NOBODY);
    await this.#subscription?.unsubscribe();
  }
}

function pagesOf<T>(items: readonly T[]): (readonly T[])[] {
  const pages: (readonly T[])[] = [];
  for (let at = 0; at < items.length; at += MOST_AT_ONCE) {
    pages.push(items.slice(at, at + MOST_AT_ONCE));
  }
  return pages;
}

function splitOf({ come, go }: Difference): Difference[] {
  const comes = pagesOf(come).map((page) => ({ come: page, go: [] }));
  const goes = pagesOf(go).map((page) => ({ come: [], go: page }));
  const [first, second] = [comes[0], goes[0]];
  if (comes.length === 1 && goes.length === 1 && first && second) {
    return [{ come: first.come, go: second.go }];
  }
  return [...comes, ...goes];
}
