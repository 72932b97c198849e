import { subscribe, unsubscribe } from "node:diagnostics_channel";

/** Collects the messages of a channel of `node:diagnostics_channel`, until it is disposed. */
export function reported<Event>(name: string): { readonly events: Event[] } & Disposable {
  const events: Event[] = [];
  const listener = (event: unknown): void => {
    events.push(event as Event);
  };
  subscribe(name, listener);
  return { events, [Symbol.dispose]: () => void unsubscribe(name, listener) };
}
