/** The handlers of messages that haven't settled. */
export class RunningHandlers {
  #count = 0;
  #idle: PromiseWithResolvers<void> | undefined;

  /** @param handler - Never rejects. */
  add(handler: Promise<unknown>): void {
    this.#count += 1;
    void handler.then(() => {
      this.#count -= 1;
      if (this.#count > 0) return;
      this.#idle?.resolve();
      this.#idle = undefined;
    });
  }

  /** Resolves when none runs. */
  idle(): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    this.#idle ??= Promise.withResolvers();
    return this.#idle.promise;
  }
}
