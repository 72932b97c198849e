import type { IndexedStore } from "../../indexed-store.ts";
import type { Awaitable } from "../../store.ts";
import type { AppOptions } from "./app.ts";
import { type AppProcess, startApp, stopApp } from "./app-process.ts";
import { openStoreAt, type StoreAt } from "./store-at.ts";

/** The apps of a suite, each in a process of its own, and the store as the tests look at it. */
interface Started {
  readonly apps: readonly AppProcess[];
  readonly store: IndexedStore;
}

/** Starts the processes when the first test asks for them. */
export class Processes {
  readonly #store: StoreAt | (() => Awaitable<StoreAt>);
  readonly #options: readonly Omit<AppOptions, "at">[];
  #started: Promise<Started> | undefined;

  constructor(
    store: StoreAt | (() => Awaitable<StoreAt>),
    options: readonly Omit<AppOptions, "at">[],
  ) {
    this.#store = store;
    this.#options = options;
  }

  started(): Promise<Started> {
    this.#started ??= this.#start();
    return this.#started;
  }

  async #start(): Promise<Started> {
    const at = typeof this.#store === "function" ? await this.#store() : this.#store;
    const store = await openStoreAt(at);
    const apps = await Promise.all(this.#options.map((options) => startApp({ ...options, at })));
    return { apps, store };
  }

  async stop(): Promise<void> {
    // What couldn't start has failed its tests; its processes end with this one.
    const started = await this.#started?.catch(() => undefined);
    if (started === undefined) return;
    const { apps, store } = started;
    for (const app of apps) await stopApp(app);
    await store.close?.();
  }
}
