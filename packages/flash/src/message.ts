/** What is shown. Anything else goes into a message's `data`. */
export type FlashText = string | number | bigint | boolean;

/** One of the usual four, or any other text. */
export type FlashLevel = "info" | "success" | "warning" | "error" | (string & {});

export interface FlashMessage {
  readonly level: FlashLevel;
  readonly message: FlashText;
  /** Only where there was any. */
  readonly data?: unknown;
}

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
  return data === undefined ? [level, message] : [level, message, data];
}

const isText = (value: unknown): boolean =>
  typeof value === "number"
    ? Number.isFinite(value)
    : ["string", "bigint", "boolean"].includes(typeof value);

export function checkLevel(level: unknown): void {
  if (typeof level === "string") return;
  throw new TypeError(`the level of a flash message must be a string, got ${typeof level}`);
}

export const messageOf = ([level, message, ...data]: Stored): FlashMessage =>
  data.length === 0 ? { level, message } : { level, message, data: data[0] };
