import { type Events, eventsOf } from "@lanai/connection/events";

/** An event of this store, on `node:diagnostics_channel`. Holds no key, owner or value. */
export interface RedisStoreEvent {
  readonly level: "warn";
  /** The fault that was found. */
  readonly reason: string;
  /** The advice on what to change. */
  readonly message: string;
}

/** `lanai:session:evicting`: the server deletes keys when its memory is full. */
export const events: Events<Record<"evicting", RedisStoreEvent>> = eventsOf("lanai:session", [
  "evicting",
]);
