import type { PubSub } from "../../pubsub.ts";
import type { Streams } from "../../streams.ts";

/** The URL of a module that opens a backend, and its argument, so that any process can open it. */
export interface BackendAt {
  /**
   * The URL of a {@link BackendModule}, such as `import.meta.resolve("./open-backend.ts")`. It is imported
   * in a process of its own, with the flags of this one.
   */
  readonly module: string;
  /** Anything that can be cloned: an address, a prefix. */
  readonly options?: unknown;
}

/** A module that opens the backend in a process of its own. */
export interface BackendModule {
  /** Opens the backend; its `close` closes all that was opened here, its connection too. */
  openBackend(options: unknown): (PubSub & Streams) | Promise<PubSub & Streams>;
}

export async function openBackendAt({ module, options }: BackendAt): Promise<PubSub & Streams> {
  const { openBackend } = (await import(module)) as BackendModule;
  return openBackend(options);
}
