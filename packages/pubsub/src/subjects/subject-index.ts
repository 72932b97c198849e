import { isPattern } from "./subject.ts";

const NONE: readonly never[] = [];

/** One level of the patterns. What isn't there costs nothing: most nodes have one child. */
interface Node<T> {
  literals: Map<string, Node<T>> | undefined;
  /** The level after a `*` here. */
  any: Node<T> | undefined;
  /** Values whose pattern ends at this token. */
  here: Values<T> | undefined;
  /** Values whose pattern ends with a `>` at this token. */
  rest: Values<T> | undefined;
}

/** A set that is read more often than changed, mostly of one: walking a list is many times faster. */
class Values<T> {
  #list: readonly T[] | undefined = NONE;
  /** The values after the first. */
  #set: Set<T> | undefined;

  get isEmpty(): boolean {
    return this.#set ? this.#set.size === 0 : this.#list === NONE;
  }

  /** Never changed once it was handed out. */
  get list(): readonly T[] {
    this.#list ??= [...(this.#set ?? [])];
    return this.#list;
  }

  add(value: T): boolean {
    if (this.isEmpty) {
      this.#set = undefined;
      this.#list = [value];
      return true;
    }
    this.#set ??= new Set(this.#list);
    if (this.#set.has(value)) return false;
    this.#set.add(value);
    this.#list = undefined;
    return true;
  }

  delete(value: T): boolean {
    if (this.isEmpty) return false;
    if (this.#set) {
      this.#list = undefined;
      return this.#set.delete(value);
    }
    if (this.#list?.[0] !== value) return false;
    this.#list = NONE;
    return true;
  }
}

const CACHED = 1024;
/** Every eighth subject that isn't in the cache is put there: where subjects seldom repeat, it costs little. */
const CACHED_OF_MISSED = 8;

/**
 * Finds what was added under the subjects and patterns that match a subject.
 *
 * Adding and taking out walk the tokens of one pattern, however many there are. Literal subjects are
 * looked up whole; patterns are a trie, which is walked without splitting the subject.
 */
export class SubjectIndex<T> {
  readonly #exact = new Map<string, Values<T>>();
  readonly #root: Node<T> = node();
  #patterns = 0;
  #missed = 0;
  /** Matches of recent subjects. Bounded, and cleared when a change may affect them. */
  readonly #cache = new Map<string, readonly T[]>();

  /** Whether there is nothing in it. */
  get isEmpty(): boolean {
    return this.#exact.size === 0 && this.#patterns === 0;
  }

  /** The number of subjects in the cache: at most 1,024. */
  get cached(): number {
    return this.#cache.size;
  }

  /** Adds a value under a valid subject or pattern; the same value there again changes nothing. */
  add(subject: string, value: T): void {
    if (!isPattern(subject)) {
      const values = this.#exact.get(subject) ?? new Values();
      if (values.isEmpty) this.#exact.set(subject, values);
      values.add(value);
      this.#cache.delete(subject);
      return;
    }
    let at = this.#root;
    const tokens = subject.split(".");
    for (const token of tokens) if (token !== ">") at = childOf(at, token);
    const end = tokens.at(-1) === ">" ? "rest" : "here";
    at[end] ??= new Values();
    if (!at[end].add(value)) return;
    this.#patterns += 1;
    this.#cache.clear();
  }

  /** Removes a value, and returns whether it was in the index. */
  delete(subject: string, value: T): boolean {
    if (!isPattern(subject)) {
      const values = this.#exact.get(subject);
      if (!values?.delete(value)) return false;
      if (values.isEmpty) this.#exact.delete(subject);
      this.#cache.delete(subject);
      return true;
    }
    const found = remove(this.#root, subject.split("."), 0, value);
    if (found) {
      this.#patterns -= 1;
      this.#cache.clear();
    }
    return found;
  }

  /** Returns the values that match a valid literal subject. Later changes don't alter the list. */
  match(subject: string): readonly T[] {
    if (this.#patterns === 0) return this.#exact.get(subject)?.list ?? NONE;
    const cached = this.#cache.get(subject);
    if (cached) return cached;
    const found: T[] = [];
    const exact = this.#exact.get(subject);
    if (exact) append(exact, found);
    collect(this.#rootFor(subject), subject, 0, found);
    this.#missed += 1;
    if (this.#missed % CACHED_OF_MISSED === 0) {
      if (this.#cache.size >= CACHED) this.#cache.clear();
      this.#cache.set(subject, found);
    }
    return found;
  }

  /** A wildcard as the first token skips the reserved subjects (law C9). */
  #rootFor(subject: string): Node<T> {
    return subject.startsWith("$") ? { ...node<T>(), literals: this.#root.literals } : this.#root;
  }
}

const node = <T>(): Node<T> => ({
  literals: undefined,
  any: undefined,
  here: undefined,
  rest: undefined,
});

function childOf<T>(at: Node<T>, token: string): Node<T> {
  if (token === "*") {
    at.any ??= node();
    return at.any;
  }
  at.literals ??= new Map();
  let child = at.literals.get(token);
  if (!child) {
    child = node();
    at.literals.set(token, child);
  }
  return child;
}

function append<T>({ list }: Values<T>, found: T[]): void {
  for (const value of list) found.push(value);
}

/** Adds what matches the tokens of `subject` from `start` on. */
function collect<T>(at: Node<T>, subject: string, start: number, found: T[]): void {
  if (at.rest) append(at.rest, found);
  const dot = subject.indexOf(".", start);
  const last = dot < 0;
  const literal = at.literals?.get(last ? subject.slice(start) : subject.slice(start, dot));
  if (last) {
    if (literal?.here) append(literal.here, found);
    if (at.any?.here) append(at.any.here, found);
    return;
  }
  if (literal) collect(literal, subject, dot + 1, found);
  if (at.any) collect(at.any, subject, dot + 1, found);
}

/** Takes a value out and cuts off the branch that has become empty. */
function remove<T>(at: Node<T>, tokens: readonly string[], depth: number, value: T): boolean {
  const { [depth]: token } = tokens;
  if (token === undefined || token === ">") {
    const end = token === undefined ? "here" : "rest";
    if (!at[end]?.delete(value)) return false;
    if (at[end].isEmpty) at[end] = undefined;
    return true;
  }
  const child = token === "*" ? at.any : at.literals?.get(token);
  if (!child || !remove(child, tokens, depth + 1, value)) return false;
  if (!child.here && !child.rest && !child.any && !child.literals) {
    if (token === "*") at.any = undefined;
    else at.literals?.delete(token);
    if (at.literals?.size === 0) at.literals = undefined;
  }
  return true;
}
