/** The text that is shown. Anything else goes into a message's `data`. */
export type FlashText = string | number | bigint | boolean;

/** One of the usual four, or any other text. */
export type FlashLevel = "info" | "success" | "warning" | "error" | (string & {});

/** A message as `pop`, `peek` and `keep` have it. */
export interface FlashMessage {
  /** The level: `info`, `success`, `warning`, `error`, or any other string. */
  readonly level: FlashLevel;
  /** The text, as it was left. */
  readonly message: FlashText;
  /** The data that was left with the text. Missing if there was none. */
  readonly data?: unknown;
}

/** The longest message, in characters (UTF-16 code units). */
const MAX_MESSAGE = 16_000;
/** The longest level, likewise. */
const MAX_LEVEL = 16_000;
/** The longest `data`, as JSON. */
const MAX_DATA = 50_000;

/** A message as it is stored. */
export type Stored = readonly [level: FlashLevel, message: FlashText, ...data: unknown[]];

/** @throws {TypeError} that names what came, and never its value. */
export function stored(message: FlashText, level: FlashLevel = "info", data?: unknown): Stored {
  if (!isText(message)) {
    const isNumber = typeof message === "number";
    const got = isNumber || message === null ? String(message) : typeof message;
    throw new TypeError(
      `flash(message, level, data): message must be a string, number, bigint or boolean, got ${got}: ` +
        "anything else goes into data",
    );
  }
  checkLevel(level);
  if (typeof message === "string" && message.length > MAX_MESSAGE) {
    throw new RangeError(
      `flash(message, level, data): message must have ${MAX_MESSAGE} characters at most, got ${message.length}`,
    );
  }
  if (data !== undefined) checkData(data);
  return data === undefined ? [level, message] : [level, message, data];
}

const isText = (value: unknown): boolean =>
  typeof value === "number"
    ? Number.isFinite(value)
    : ["string", "bigint", "boolean"].includes(typeof value);

export function checkLevel(level: unknown): void {
  if (typeof level !== "string") {
    throw new TypeError(`the level of a flash message must be a string, got ${typeof level}`);
  }
  if (level.length <= MAX_LEVEL) return;
  throw new RangeError(
    `the level of a flash message must have ${MAX_LEVEL} characters at most, got ${level.length}`,
  );
}

export const messageOf = ([level, message, ...data]: Stored): FlashMessage =>
  data.length === 0 ? { level, message } : { level, message, data: data[0] };

/**
 * Checks the data. The session refuses a value that JSON can't write when it stores it, such as a
 * bigint.
 */
function checkData(data: unknown): void {
  let length = 0;
  try {
    length = JSON.stringify(data, (_key, value: unknown) => plain(value))?.length ?? 0;
  } catch {
    return;
  }
  if (length <= MAX_DATA) return;
  throw new RangeError(
    `flash(message, level, data): data must have ${MAX_DATA} characters of JSON at most, got ${length}`,
  );
}

/** The values that a session stores besides those of JSON, as something about as long. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Map || value instanceof Set) return [...value];
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  return value;
}
