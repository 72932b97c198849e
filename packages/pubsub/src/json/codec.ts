import { parseJson } from "@lanai/connection/json";
import { placesOf } from "@lanai/connection/schema-places";
import { textOf } from "../calls/payload.ts";
import { PubSubError } from "../errors.ts";
import type { Payload } from "../pubsub.ts";
import type { SchemaResult, StandardSchema } from "./standard-schema.ts";

/** @throws PubSubError `ERR_PUBSUB_ENCODE`. */
export function encode(data: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(data);
  } catch (cause) {
    throw new PubSubError("ERR_PUBSUB_ENCODE", "what was published can't be made JSON", { cause });
  }
  if (text !== undefined) return text;
  throw new PubSubError("ERR_PUBSUB_ENCODE", `${typeof data} can't be published: it is no JSON`);
}

/**
 * Returns the value that was published, checked by the schema if there is one.
 *
 * @throws PubSubError `ERR_PUBSUB_DECODE`; if the schema is asynchronous, the returned promise rejects
 * with it.
 */
export function decode<T>(data: Payload, schema: StandardSchema<T> | undefined): T | Promise<T> {
  let value: unknown;
  try {
    value = parseJson(textOf(data));
  } catch {
    // The parser's own message quotes what it was given.
    throw new PubSubError("ERR_PUBSUB_DECODE", "a message is not JSON in UTF-8");
  }
  if (schema === undefined) return value as T;
  const result = schema["~standard"].validate(value);
  return result instanceof Promise ? result.then(accepted) : accepted(result);
}

function accepted<T>(result: SchemaResult<T>): T {
  if (result.issues === undefined) return result.value;
  throw new PubSubError(
    "ERR_PUBSUB_DECODE",
    `a message is not what the schema asks for, at ${placesOf(result.issues)}`,
  );
}
