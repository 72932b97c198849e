import { ClientsError } from "./errors.ts";

/** A message on its way to listeners: encoded once, however many there are. */
export class LiveMessage {
  readonly event: string;
  /** The data, as JSON. */
  readonly json: string;
  #frame: string | undefined;

  constructor(event: string, json: string) {
    this.event = event;
    this.json = json;
  }

  /** As the plain WebSocket wire has it: `{ "event", "data" }`. */
  get frame(): string {
    this.#frame ??= `{"event":${JSON.stringify(this.event)},"data":${this.json}}`;
    return this.#frame;
  }

  /** What it takes in a queue, in characters. */
  get size(): number {
    return this.json.length + this.event.length;
  }
}

/** Names of events: what an event stream can carry in its one line. */
const EVENT = /^[\p{L}\p{N}_.:/-]{1,128}$/u;

/**
 * @throws TypeError for a name that can't be; {@link ClientsError} `ERR_CLIENTS_ENCODE` for data
 *   that JSON doesn't have.
 */
export function encodeMessage(event: string, data: unknown): LiveMessage {
  if (typeof event !== "string" || !EVENT.test(event)) {
    throw new TypeError(
      "an event is named by 1 to 128 letters, digits and the characters _ . : / -",
    );
  }
  let json: string | undefined;
  try {
    json = JSON.stringify(data === undefined ? null : data);
  } catch (cause) {
    throw new ClientsError("ERR_CLIENTS_ENCODE", `the data of "${event}" is no JSON`, { cause });
  }
  if (json === undefined) {
    throw new ClientsError("ERR_CLIENTS_ENCODE", `the data of "${event}" is no JSON`);
  }
  return new LiveMessage(event, json);
}

/** What a browser sent, or nothing if it is no message. */
export function parseMessage(text: string): { event: string; data: unknown } | undefined {
  try {
    const message: unknown = JSON.parse(text);
    if (typeof message !== "object" || message === null) return undefined;
    const { event, data } = message as { event?: unknown; data?: unknown };
    return typeof event === "string" && EVENT.test(event) ? { event, data } : undefined;
  } catch {
    return undefined;
  }
}
