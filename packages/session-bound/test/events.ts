import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { BoundEvent, BoundEventName } from "@lanai/session-bound";

/** The events of one name, from now until it is disposed of. */
export function heard(name: BoundEventName): BoundEvent[] & Disposable {
  const events: BoundEvent[] = [];
  const hear = (event: unknown) => void events.push(event as BoundEvent);
  subscribe(`lanai:bound:${name}`, hear);
  return Object.assign(events, {
    [Symbol.dispose]: () => void unsubscribe(`lanai:bound:${name}`, hear),
  });
}
