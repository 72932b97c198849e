import { type Events, eventsOf } from "@lanai/connection/events";
import type { PubSubEvent } from "@lanai/pubsub";

/** The events of this package about streams, reported at most once a minute for each cause. */
export const events: Events<{ readonly stream: PubSubEvent }> = eventsOf("lanai:pubsub", [
  "stream",
]);
