/** A text for many listeners: encoded once, whoever it is sent to. */
export class Frame {
  readonly text: string;
  #bytes: Buffer | undefined;

  constructor(text: string) {
    this.text = text;
  }

  get bytes(): Buffer {
    this.#bytes ??= Buffer.from(this.text);
    return this.#bytes;
  }
}

/** A frame for a page: see WIRE.md. */
export const frameOf = (t: string, members: Readonly<Record<string, unknown>> = {}): Frame =>
  new Frame(JSON.stringify({ t, ...members }));
