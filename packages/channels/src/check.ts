import { placesOf } from "@lanai/connection/schema-places";
import type { StandardSchema } from "@lanai/pubsub";
import { ChannelsError } from "./errors.ts";

/** @throws ChannelsError `ERR_CHANNELS_DATA`, which names the places and holds no data. */
export async function check<T>(schema: StandardSchema<T>, data: unknown, what: string): Promise<T> {
  const result = await schema["~standard"].validate(data);
  if (result.issues === undefined) return result.value;
  throw new ChannelsError(
    "ERR_CHANNELS_DATA",
    `${what} is not what its schema accepts, at ${placesOf(result.issues)}`,
    { status: 400, expose: true },
  );
}
