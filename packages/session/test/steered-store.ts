import { type Awaitable, type IndexedStore, isPaged, type PagedStore } from "@lanai/session/store";

export type Method = Exclude<
  keyof (IndexedStore & PagedStore),
  "close" | "carriesData" | "limitsOwners"
>;

/** Comes around one call of the store: not calling `call` is a store that is away. */
type Around = <T>(method: Method, call: () => Awaitable<T>) => Awaitable<T>;

/** A store that tells what it was asked, and lets a test come between. */
export interface SteeredStore extends IndexedStore {
  /** The names of all calls so far, in order; a test empties it by `calls.length = 0`. */
  readonly calls: Method[];
  /** What they were called with: keys and changes. */
  readonly asked: unknown[][];
  /** Comes around every call from now on. */
  around: Around;
}

export function steeredStore(inner: IndexedStore): SteeredStore {
  const steer = <A extends unknown[], T>(method: Method, call: (...args: A) => Awaitable<T>) => {
    return (...args: A): Awaitable<T> => {
      store.calls.push(method);
      store.asked.push(args);
      return store.around(method, () => call(...args));
    };
  };
  const store: SteeredStore = {
    ...(inner.limitsOwners && { limitsOwners: true }),
    calls: [],
    asked: [],
    around: (_method, call) => call(),
    load: steer("load", inner.load),
    create: steer("create", inner.create),
    commit: steer("commit", inner.commit),
    destroy: steer("destroy", inner.destroy),
    list: steer("list", inner.list),
    destroyByPublicId: steer("destroyByPublicId", inner.destroyByPublicId),
    destroyAll: steer("destroyAll", inner.destroyAll),
    commitByPublicId: steer("commitByPublicId", inner.commitByPublicId),
    ...(isPaged(inner) && {
      count: steer("count", inner.count),
      page: steer("page", inner.page),
      destroyPage: steer("destroyPage", inner.destroyPage),
    }),
  };
  return store;
}

/** A door that is shut: who comes to it waits until it is opened. */
export interface Gate {
  /** Settles when somebody stands at the door. */
  readonly reached: Promise<void>;
  pass(): Promise<void>;
  open(): void;
}

export function gate(): Gate {
  const reached = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  return {
    reached: reached.promise,
    open: () => opened.resolve(),
    pass() {
      reached.resolve();
      return opened.promise;
    },
  };
}

/** Holds the next call of a method at a gate: before it is applied, or after and before its answer. */
export function hold(
  store: SteeredStore,
  method: Method,
  when: "before" | "after" = "before",
): Gate {
  const door = gate();
  const { around } = store;
  store.around = async (name, call) => {
    if (name !== method) return around(name, call);
    store.around = around;
    if (when === "before") await door.pass();
    const answer = await around(name, call);
    if (when === "after") await door.pass();
    return answer;
  };
  return door;
}
