/**
 * The number of names of one kind that are kept: more than an app has, fewer than a client can
 * invent.
 */
const MAX_NAMES = 1024;

/**
 * The names under which the keys of one kind are stored. A key that recurs has one name, made and
 * hashed once, and held once by all the sessions in memory.
 */
export class EntryNames {
  readonly prefix: string;
  readonly #known = new Map<string, string>();

  constructor(prefix: string) {
    this.prefix = prefix;
  }

  of(key: string): string {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const name = this.prefix + key;
    if (this.#known.size < MAX_NAMES) this.#known.set(key, name);
    return name;
  }
}

/** The names of the app's own keys. */
export const appNames: EntryNames = new EntryNames("d:");
const packageNames = new Map<string, EntryNames>();

/** Returns the names of the keys in a namespace. */
export function namesOf(namespace: string): EntryNames {
  const known = packageNames.get(namespace);
  if (known !== undefined) return known;
  const names = new EntryNames(`${namespace}:`);
  if (packageNames.size < MAX_NAMES) packageNames.set(namespace, names);
  return names;
}
