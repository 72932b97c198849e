import type { Awaitable, IndexedStore } from "@lanai/session";

/** How any process finds the store: the URL of a module, and what that opens. */
export interface StoreAt {
  /** The URL of a {@link StoreModule}. */
  readonly module: string;
  /** JSON: an address, a path, a prefix. */
  readonly options?: unknown;
}

export interface StoreModule {
  /** Opens the store; its `close` lets go of all that was opened here. */
  openStore(options: unknown): Awaitable<IndexedStore>;
}

export async function openStoreAt({ module, options }: StoreAt): Promise<IndexedStore> {
  const { openStore } = (await import(module)) as StoreModule;
  return openStore(options);
}
