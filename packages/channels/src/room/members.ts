/** Somebody in a channel, as the others see them. */
export interface Member {
  readonly id: string;
  readonly data: unknown;
}

export interface Difference {
  readonly come: readonly Member[];
  readonly go: readonly string[];
}

/** Somebody with every tab that they are there with. */
interface Present {
  readonly data: unknown;
  readonly text: string;
}

/** The members of one process, or of all of them, each by their id. */
type People = Map<string, Present>;

const presentOf = (data: unknown): Present => ({ data, text: JSON.stringify(data) ?? "null" });

/** Who is in one channel, in all processes. One who is in it with several tabs counts once. */
export class Members {
  /** The members by tab. */
  readonly #own = new Map<string, { readonly id: string; readonly present: Present }>();
  readonly #byNode = new Map<string, People>();
  /** The members that were sent to the tabs and the other processes last. */
  #shown: People = new Map();
  #told: People = new Map();

  set(tab: string, { id, data }: Member): void {
    this.#own.set(tab, { id, present: presentOf(data) });
  }

  delete(tab: string): boolean {
    return this.#own.delete(tab);
  }

  /** Another process has sent all of its members. */
  replace(node: string, members: readonly Member[]): void {
    const people: People = new Map(members.map(({ id, data }) => [id, presentOf(data)]));
    if (people.size > 0) this.#byNode.set(node, people);
    else this.#byNode.delete(node);
  }

  /** Another process has sent what has changed there. */
  change(node: string, { come, go }: Difference): void {
    const people = this.#byNode.get(node) ?? new Map<string, Present>();
    for (const { id, data } of come) people.set(id, presentOf(data));
    for (const id of go) people.delete(id);
    this.#byNode.set(node, people);
  }

  /** The other processes that have members. */
  get nodes(): Iterable<string> {
    return this.#byNode.keys();
  }

  lose(node: string): boolean {
    return this.#byNode.delete(node);
  }

  get shown(): readonly Member[] {
    return listOf(this.#shown);
  }

  get told(): readonly Member[] {
    return listOf(this.#told);
  }

  /** Returns what has changed in this process since the last call: for the other processes. */
  toTell(): Difference | undefined {
    const now = this.#ownPeople();
    const difference = differenceOf(this.#told, now);
    this.#told = now;
    return difference;
  }

  /** Returns what has changed in any process since the last call: for the tabs. */
  toShow(): Difference | undefined {
    const now: People = new Map();
    for (const people of this.#byNode.values()) for (const [id, it] of people) now.set(id, it);
    for (const [id, it] of this.#ownPeople()) now.set(id, it);
    const difference = differenceOf(this.#shown, now);
    this.#shown = now;
    return difference;
  }

  #ownPeople(): People {
    return new Map([...this.#own.values()].map(({ id, present }) => [id, present]));
  }
}

const listOf = (people: People): Member[] => [...people].map(([id, { data }]) => ({ id, data }));

function differenceOf(before: People, now: People): Difference | undefined {
  const come = listOf(now).filter(
    ({ id }) => before.get(id)?.text !== now.get(id)?.text || !before.has(id),
  );
  const go = [...before.keys()].filter((id) => !now.has(id));
  return come.length + go.length > 0 ? { come, go } : undefined;
}

/** Members in one note or frame, so that no message is too large for the bus. */
export const MOST_AT_ONCE = 200;
const LONGEST_ID = 64;

/** Returns the members of a note, or `undefined` for what can't be any. */
export function membersIn(value: unknown): readonly Member[] | undefined {
  if (!Array.isArray(value) || value.length > MOST_AT_ONCE) return undefined;
  const isMember = (it: unknown): it is Member => {
    const { id } = (it ?? {}) as Record<string, unknown>;
    return typeof id === "string" && id !== "" && id.length <= LONGEST_ID;
  };
  return value.every(isMember) ? value : undefined;
}

export const isIds = (value: unknown): value is readonly string[] =>
  Array.isArray(value) &&
  value.length <= MOST_AT_ONCE &&
  value.every((it) => typeof it === "string" && it.length <= LONGEST_ID);
