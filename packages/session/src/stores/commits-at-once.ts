import type { Store } from "../store.ts";

/**
 * The `commit` of stores in this process that return every result at once. No answer can be lost and
 * nothing is sent again, so that the request names no operation and the store remembers none. A store
 * that wraps such a one has a `commit` of its own, whose calls are named.
 */
export const commitsAtOnce: WeakSet<Store["commit"]> = new WeakSet();
