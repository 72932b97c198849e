import type { IndexedStore } from "../../indexed-store.ts";
import type { Awaitable } from "../../store.ts";

/** The address of a store for any process: the URL of a module, and the argument that it opens. */
export interface StoreAt {
  /**
   * The URL of a {@link StoreModule}, such as `import.meta.resolve("./open-store.ts")`. It is imported in a
   * process of its own, with the flags of this one.
   */
  readonly module: string;
  /** JSON: an address, a path, a prefix. */
  readonly options?: unknown;
}

/** A module that opens the store in a process of its own. */
export interface StoreModule {
  /** Opens the store; its `close` closes all that was opened here. */
  openStore(options: unknown): Awaitable<IndexedStore>;
}

export async function openStoreAt({ module, options }: StoreAt): Promise<IndexedStore> {
  const { openStore } = (await import(module)) as StoreModule;
  return openStore(options);
}
