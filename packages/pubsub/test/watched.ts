import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { PubSubEvent, PubSubEventName } from "@lanai/pubsub";

const NAMES: readonly PubSubEventName[] = [
  "subscribed",
  "unsubscribed",
  "gap",
  "error",
  "disconnected",
  "reconnected",
  "stream",
];

/** What the package tells on its diagnostics channels until it is disposed. */
export interface Watched extends Disposable {
  readonly events: { readonly name: PubSubEventName; readonly event: PubSubEvent }[];
  count(name: PubSubEventName): number;
  /** Subscriptions that have begun and not ended. */
  open(): number;
}

export function watch(): Watched {
  const events: Watched["events"][number][] = [];
  const listeners = NAMES.map((name) => {
    const listener = (event: unknown) => void events.push({ name, event: event as PubSubEvent });
    subscribe(`lanai:pubsub:${name}`, listener);
    return () => unsubscribe(`lanai:pubsub:${name}`, listener);
  });
  const count = (name: PubSubEventName) => events.filter((it) => it.name === name).length;
  return {
    events,
    count,
    open: () => count("subscribed") - count("unsubscribed"),
    [Symbol.dispose]: () => {
      for (const stop of listeners) stop();
    },
  };
}
