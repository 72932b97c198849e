/**
 * The names of keys and channels in Redis. An app's subject never begins with `$`, so names that do
 * belong to the library.
 *
 * - `<prefix><subject>`, a channel: the plain messages of a subject, as they were published.
 * - `<prefix>$stream:{<name>}`, a channel: the messages of a stream, each behind a line of its own.
 * - `<prefix>$streams`, a channel: says that the list of streams has changed.
 * - `<prefix>{streams}`, a hash: `version`, and each stream's settings under its name.
 * - `<prefix>stream:{<name>}`, a stream: what is retained; `:meta`, a hash: its epoch and its end.
 */
export class RedisNames {
  /** Channels only: keys get a client's `keyPrefix` from the client. */
  readonly channels: string;
  readonly keys: string;

  readonly #keyPrefix: string;

  constructor(prefix: string, keyPrefix: string) {
    this.#keyPrefix = keyPrefix;
    this.channels = keyPrefix + prefix;
    this.keys = prefix;
  }

  get streams(): string {
    return `${this.keys}{streams}`;
  }

  get streamsChannel(): string {
    return `${this.channels}$streams`;
  }

  stream(name: string): string {
    return `${this.keys}stream:{${name}}`;
  }

  streamChannel(name: string): string {
    return `${this.channels}$stream:{${name}}`;
  }

  /** All subjects with one first token share a sharded channel; the tag survives braces in it. */
  shard(subject: string): string {
    const [first = ""] = subject.split(".", 1);
    const tag = first.replace(/[%{}]/g, (it) => `%${it.charCodeAt(0).toString(16)}`);
    return `${this.channels}{${tag}}`;
  }

  /** A key in the slot of a channel, as the client is given it. */
  keyOf(channel: string): string {
    return channel.slice(this.#keyPrefix.length);
  }

  /** The subject that a channel stands for. */
  subjectOf(channel: string): string {
    return channel.slice(this.channels.length);
  }

  /**
   * A glob of Redis for a pattern. It matches too much, for `*` goes over dots: what comes is matched
   * again. Never too little, and nothing of ours, which begins with `$`.
   */
  glob(pattern: string): string {
    const tokens = pattern.split(".").map((token, n) => {
      if (token === "*" || token === ">") return n === 0 ? "[^$]*" : "?*";
      return escapeGlob(token);
    });
    return escapeGlob(this.channels) + tokens.join(".");
  }
}

function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]^-]/g, "\\$&");
}
