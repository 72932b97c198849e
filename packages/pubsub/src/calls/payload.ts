import { checkOptions, type Rules, text } from "@lanai/connection/options";
import type { Payload, PublishOptions } from "../pubsub.ts";
import { validateCall } from "../subjects/subject.ts";

const OPTIONS: Rules<PublishOptions> = {
  messageId: text("1 to 128 visible ASCII characters", /^[\x21-\x7e]{1,128}$/),
};

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Returns the bytes of a payload. Don't change them: others may hold the same. */
export function bytesOf(data: Payload): Uint8Array {
  return typeof data === "string" ? Buffer.from(data) : data;
}

/**
 * Returns the text of a payload.
 *
 * @throws TypeError if the bytes aren't UTF-8.
 */
export function textOf(data: Payload): string {
  return typeof data === "string" ? data : decoder.decode(data);
}

/**
 * Checks what was given to `publish`, before anything else happens.
 *
 * @throws PubSubError for the subject, TypeError or RangeError for the rest.
 */
export function validatePublish(subject: string, data: Payload, options?: PublishOptions): void {
  validateCall(subject, "publish", options);
  if (typeof data !== "string" && !(data instanceof Uint8Array)) {
    throw new TypeError(
      `publish: the payload must be a Uint8Array or a string, got ${typeof data}`,
    );
  }
  if (options === undefined) return;
  checkOptions("publish", options, OPTIONS);
}
