/** How long a request may take to reach its gate: a set-up may make requests wait for each other. */
const PATIENCE = 1_000;

/** Points in handlers at which requests wait, so that their order is chosen and not left to the clock. */
export class Gates {
  #gates = new Map();

  #gate(name) {
    if (!this.#gates.has(name)) {
      this.#gates.set(name, { reached: Promise.withResolvers(), opened: Promise.withResolvers() });
    }
    return this.#gates.get(name);
  }

  /** Waits at the gate, in a handler. */
  pass(name) {
    const { reached, opened } = this.#gate(name);
    reached.resolve();
    return opened.promise;
  }

  /** Resolves when a request waits at each of the gates, or when they have had long enough. */
  async reached(...names) {
    let timer;
    const patience = new Promise((resolve) => {
      timer = setTimeout(resolve, PATIENCE);
    });
    await Promise.race([
      Promise.all(names.map((name) => this.#gate(name).reached.promise)),
      patience,
    ]);
    clearTimeout(timer);
  }

  open(...names) {
    for (const name of names) this.#gate(name).opened.resolve();
  }
}
