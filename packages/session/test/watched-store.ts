import { memoryStore, type Store } from "@lanai/session";

export interface WatchedStore {
  readonly store: Store;
  /** The names of the calls, in order. */
  readonly calls: string[];
}

/** A store that tells which of its methods were called. */
export function watchedStore(inner: Store = memoryStore()): WatchedStore {
  const calls: string[] = [];
  const store = new Proxy(inner, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== "function") return member;
      return (...args: unknown[]) => {
        calls.push(String(name));
        return member.apply(target, args);
      };
    },
  });
  return { store, calls };
}
