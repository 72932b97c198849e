import { token } from "@lanai/pubsub";
import { ChannelsError } from "./errors.ts";

const PATTERN = /^:?[\w-]+(?:\.:?[\w-]+)*$/;

/** A declared pattern, such as `room.:id`. */
export class Pattern {
  readonly text: string;
  readonly #parts: readonly string[];
  readonly #names: readonly string[];
  readonly #maxLength: number;

  /** @throws TypeError for a text that is no pattern, or that names a parameter twice. */
  constructor(text: string, maxLength: number) {
    this.text = text;
    this.#maxLength = maxLength;
    this.#parts = text.split(".");
    this.#names = this.#parts.filter((it) => it.startsWith(":")).map((it) => it.slice(1));
    if (!PATTERN.test(text) || new Set(this.#names).size < this.#names.length) {
      throw new TypeError(
        `createChannels: a channel is named by letters, digits, _ and - between dots, each parameter once, such as "room.:id", got "${text}"`,
      );
    }
  }

  /**
   * The name of the channel with these parameters: the pattern with each parameter as one `token()`,
   * so that no parameter can be a wildcard or reach another channel.
   *
   * @throws ChannelsError `ERR_CHANNELS_UNKNOWN` for anything but exactly the pattern's parameters.
   */
  key(params: unknown): string {
    const given = typeof params === "object" && params !== null ? params : {};
    const values = given as Record<string, unknown>;
    if (Object.keys(given).length !== this.#names.length) throw this.#wrong();
    const parts = this.#parts.map((part) => {
      if (!part.startsWith(":")) return part;
      const name = part.slice(1);
      const value = Object.hasOwn(values, name) ? values[name] : undefined;
      const fits = typeof value === "string" && value !== "" && value.length <= this.#maxLength;
      if (!fits || !value.isWellFormed()) throw this.#wrong();
      return token(value);
    });
    // 800 bytes leave room for the prefix in a subject of 1,024.
    const key = parts.join(".");
    if (key.length > 800) throw this.#wrong();
    return key;
  }

  #wrong(): ChannelsError {
    const names = this.#names.map((it) => `"${it}"`).join(", ") || "none";
    return new ChannelsError(
      "ERR_CHANNELS_UNKNOWN",
      `the parameters of ${this.text} are ${names}: each a text of 1 to ${this.#maxLength} characters`,
      { status: 400, expose: true },
    );
  }
}
