import { knownOptions } from "./known-options.ts";
import type { Payload, PublishOptions } from "./pubsub.ts";
import { validateSubject } from "./subject.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The bytes of a payload. Don't change them: others may hold the same. */
export const bytesOf = (data: Payload): Uint8Array =>
  typeof data === "string" ? Buffer.from(data) : data;

/** @throws TypeError if the bytes aren't UTF-8. */
export const textOf = (data: Payload): string =>
  typeof data === "string" ? data : decoder.decode(data);

/**
 * Checks what was given to `publish`, before anything else happens.
 *
 * @throws PubSubError for the subject, TypeError or RangeError for the rest.
 */
export function validatePublish(subject: string, data: Payload, options?: PublishOptions): void {
  validateSubject(subject, "publish");
  if (typeof data !== "string" && !(data instanceof Uint8Array)) {
    throw new TypeError(
      `publish: the payload must be a Uint8Array or a string, got ${typeof data}`,
    );
  }
  if (options === undefined) return;
  knownOptions("publish", options, ["messageId"]);
  const { messageId } = options;
  if (messageId === undefined) return;
  if (typeof messageId !== "string" || !/^[\x21-\x7e]{1,128}$/.test(messageId)) {
    throw new TypeError("publish: messageId must be 1 to 128 visible ASCII characters");
  }
}
