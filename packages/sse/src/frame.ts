/** One server-sent event. Other properties are ignored. */
export interface SseEvent {
  /**
   * The cursor with which a client comes back (`Last-Event-ID`): at most 1,024 bytes without line
   * breaks and U+0000. An event with an `id` alone moves the cursor, unseen by the page.
   */
  readonly id?: string | undefined;
  /**
   * The name for which a page listens. Default: `message`. An `EventSource` uses the names `error` and
   * `open` itself: an event of that name also calls the page's `onerror` or `onopen`. It is a
   * `MessageEvent` with `data`, which a lost connection is not.
   */
  readonly event?: string | undefined;
  /** A string is sent as it is, anything else as JSON. */
  readonly data?: unknown;
  /** The wait of a client before it reconnects, in milliseconds from 0. */
  readonly retry?: number | undefined;
}

const MOST_ID = 1024;

/** HTML, 9.2.6: a line break would begin another field, and a client ignores an id with U+0000. */
export const isEventId = (id: unknown): id is string =>
  typeof id === "string" && isOneLine(id) && id.isWellFormed() && Buffer.byteLength(id) <= MOST_ID;

const isOneLine = (text: string): boolean => !/[\r\n\0]/.test(text);

/**
 * Returns the text of an event (HTML, 9.2.6).
 *
 * @throws TypeError for a field that can't be sent; the message never shows the value.
 */
export function frame({ id, event, data, retry }: SseEvent): string {
  let text = "";
  if (id !== undefined) {
    if (!isEventId(id)) {
      throw new TypeError(
        `an event's id must be a string of at most ${MOST_ID} bytes without line breaks and U+0000`,
      );
    }
    text += `id: ${id}\n`;
  }
  if (event !== undefined) {
    if (typeof event !== "string" || !isOneLine(event)) {
      throw new TypeError("an event's name must be a string without line breaks and U+0000");
    }
    text += `event: ${event}\n`;
  }
  if (retry !== undefined) text += `retry: ${milliseconds(retry)}\n`;
  if (data !== undefined) text += lines("data: ", textOf(data));
  return `${text}\n`;
}

export const comment = (text: string): string => `${lines(": ", text)}\n`;

function milliseconds(retry: number): number {
  if (Number.isSafeInteger(retry) && retry >= 0) return retry;
  throw new TypeError("an event's retry must be a whole number of milliseconds from 0");
}

const lines = (prefix: string, text: string): string =>
  text
    .split(/\r\n|\r|\n/)
    .map((line) => `${prefix}${line}\n`)
    .join("");

function textOf(data: unknown): string {
  const text: string | undefined = typeof data === "string" ? data : JSON.stringify(data);
  if (text !== undefined) return text;
  throw new TypeError(`an event's data must be a string or what JSON has, got ${typeof data}`);
}
