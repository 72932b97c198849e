import type { Awaitable, Ended, Key } from "../store.ts";
import type { Access } from "./access.ts";

/** A call that ends one session, with all its repeats: the store gives each the first result. */
export class EndCall {
  readonly key: Key;
  /** Whether the end was reported: the store may confirm it more than once. */
  isReported = false;
  readonly #operation: string;
  readonly #access: Access;

  constructor(access: Access, key: Key) {
    this.key = key;
    this.#access = access;
    this.#operation = access.operation();
  }

  /**
   * Makes the call. Resolves to `undefined` if it wasn't this call that has ended the session.
   *
   * @param onLate - Called with a result that arrives after the call has failed.
   */
  make(onLate: (ended: Ended | undefined) => void): Awaitable<Ended | undefined> {
    const { callStore, store } = this.#access;
    return callStore(() => store.destroy(this.key, this.#operation), onLate);
  }

  /** Makes the call again, for nobody who waits: without a deadline, and without reporting an outage. */
  async repeat(): Promise<Ended | undefined> {
    return this.#access.store.destroy(this.key, this.#operation);
  }
}
