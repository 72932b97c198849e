import { ShardedMap } from "./sharded-map.ts";

/** Sessions by their owners. Most owners have one, which is kept without a set of its own. */
export class OwnerIndex<Owned extends object> {
  readonly #sessions = new ShardedMap<Owned | Set<Owned>>();

  /** Returns a copy, so that sessions may be deleted while it is iterated. */
  of(owner: string): Owned[] {
    const found = this.#sessions.get(owner);
    if (found === undefined) return [];
    return found instanceof Set ? [...found] : [found];
  }

  add(owner: string, session: Owned): void {
    const found = this.#sessions.get(owner);
    if (found instanceof Set) found.add(session);
    else this.#sessions.set(owner, found ? new Set([found, session]) : session);
  }

  delete(owner: string, session: Owned): void {
    const found = this.#sessions.get(owner);
    if (found instanceof Set ? found.delete(session) && found.size === 0 : found === session) {
      this.#sessions.delete(owner);
    }
  }
}
