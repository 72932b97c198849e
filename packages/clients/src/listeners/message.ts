import { parseJson } from "@lanai/connection/json";
import { ClientsError } from "../errors.ts";
import type { OutgoingMessage, SharedText } from "../transports/sink.ts";

/** The memory that a waiting message takes besides its text, in bytes, so that empty ones count too. */
const OVERHEAD = 64;

/** A message on its way to listeners: encoded once, however many there are. */
export class LiveMessage implements OutgoingMessage {
  readonly event: string;
  /** The data, as JSON. */
  readonly json: string;
  #shared: SharedText | undefined;
  #size: number | undefined;

  constructor(event: string, json: string) {
    this.event = event;
    this.json = json;
  }

  /** The event and its data as the plain WebSocket wire has them: `{ "event", "data" }`. */
  get frame(): string {
    return this.shared.text;
  }

  get shared(): SharedText {
    this.#shared ??= { text: `{"event":${JSON.stringify(this.event)},"data":${this.json}}` };
    return this.#shared;
  }

  /** The bytes that it takes in a queue. */
  get size(): number {
    this.#size ??= Buffer.byteLength(this.json) + Buffer.byteLength(this.event) + OVERHEAD;
    return this.#size;
  }
}

/** Names of events: what an event stream can carry in its one line. */
const EVENT = /^[\p{L}\p{N}_.:/-]{1,128}$/u;

/**
 * Returns a message that an app sends.
 *
 * @throws TypeError for a name that can't be sent or a redirect that leaves HTTP; ClientsError
 *   `ERR_CLIENTS_ENCODE` for data that JSON doesn't have.
 */
export function encodeMessage(event: string, data: unknown): LiveMessage {
  checkName(event);
  if (event === "redirect") checkRedirect(data);
  return encode(event, data);
}

/** Returns the reply to a `session` message, which no app and no other process sends. */
export function tokenMessage(data: { readonly token?: string }): LiveMessage {
  return encode("session", data);
}

/** Returns a message that came over the bus, or `undefined` if no app could have sent it. */
export function receivedMessage(event: unknown, json: unknown): LiveMessage | undefined {
  if (typeof event !== "string" || typeof json !== "string") return undefined;
  try {
    checkName(event);
    const data = parseJson(json);
    if (event === "redirect") checkRedirect(data);
    return new LiveMessage(event, json);
  } catch {
    return undefined;
  }
}

function encode(event: string, data: unknown): LiveMessage {
  let json: string | undefined;
  try {
    json = JSON.stringify(data === undefined ? null : data);
  } catch (cause) {
    throw new ClientsError("ERR_CLIENTS_ENCODE", `the data of "${event}" is no JSON`, { cause });
  }
  if (json !== undefined) return new LiveMessage(event, json);
  throw new ClientsError("ERR_CLIENTS_ENCODE", `the data of "${event}" is no JSON`);
}

function checkName(event: string): void {
  if (typeof event !== "string" || !EVENT.test(event)) {
    throw new TypeError(
      "an event is named by 1 to 128 letters, digits and the characters _ . : / -",
    );
  }
  if (event === "session") {
    throw new TypeError("an event can't be named session: it carries the tokens of tabs");
  }
}

/** A browser runs the code of a `javascript:` URL, and `//host` leaves the site. */
function checkRedirect(data: unknown): void {
  const { location } = (data ?? {}) as { readonly location?: unknown };
  if (typeof location === "string" && location.length <= 8_192) {
    const isPath = /^\/(?![/\\])/.test(location);
    const protocol = URL.parse(location)?.protocol;
    const isHttp = protocol === "http:" || protocol === "https:";
    if ((isPath || isHttp) && !/\p{Cc}/u.test(location)) return;
  }
  throw new TypeError(
    "a redirect's location is a path that begins with one /, or an address of http or https",
  );
}

/** Returns what a browser sent, or `undefined` if it is no message. */
export function parseMessage(text: string): { event: string; data: unknown } | undefined {
  try {
    const message = parseJson(text);
    if (typeof message !== "object" || message === null) return undefined;
    const { event, data } = message as { event?: unknown; data?: unknown };
    return typeof event === "string" && EVENT.test(event) ? { event, data } : undefined;
  } catch {
    return undefined;
  }
}
