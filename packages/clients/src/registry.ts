import type { Scope, TargetKey } from "./target.ts";

/** What of a listener the registry knows. */
export interface Registered {
  readonly id: string;
  readonly keys: readonly TargetKey[];
}

/** The listeners of this process, by whatever they can be reached by. Nothing stays of what left. */
export class Registry<L extends Registered> {
  readonly #byKey = new Map<TargetKey, Set<L>>();
  readonly #all = new Set<L>();

  add(listener: L): void {
    this.#all.add(listener);
    for (const key of listener.keys) {
      const listeners = this.#byKey.get(key);
      if (listeners) listeners.add(listener);
      else this.#byKey.set(key, new Set([listener]));
    }
  }

  delete(listener: L): void {
    this.#all.delete(listener);
    for (const key of listener.keys) {
      const listeners = this.#byKey.get(key);
      listeners?.delete(listener);
      if (listeners?.size === 0) this.#byKey.delete(key);
    }
  }

  /** A copy: those found may be ended while they are gone through. */
  find(key: TargetKey): L[] {
    return [...(this.#byKey.get(key) ?? [])];
  }

  count(scope: Scope, id: string): number {
    return this.#byKey.get(`${scope}:${id}`)?.size ?? 0;
  }

  all(): L[] {
    return [...this.#all];
  }

  /** How many listeners there are, and names that lead to them. */
  get size(): { readonly listeners: number; readonly keys: number } {
    return { listeners: this.#all.size, keys: this.#byKey.size };
  }
}
