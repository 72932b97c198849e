/** Messages that came before anyone listened. */
export class HeldMessages {
  readonly #messages: { readonly args: unknown[]; readonly size: number }[] = [];
  bytes = 0;
  /** Whoever wants to listen does by now. */
  isFinal = false;

  get count(): number {
    return this.#messages.length;
  }

  push(args: unknown[], size: number): void {
    this.#messages.push({ args, size });
    this.bytes += size;
  }

  shift(): unknown[] {
    const { args, size } = this.#messages.shift() ?? { args: [], size: 0 };
    this.bytes -= size;
    return args;
  }
}
