import { type ConnectionOptions, connect, type NatsConnection } from "@nats-io/transport-node";
import type { NatsServer } from "../../../scripts/services/nats.ts";

/** A connection as an app makes it. */
export const connectTo = (
  { port }: { readonly port: number },
  options: ConnectionOptions = {},
): Promise<NatsConnection> =>
  connect({
    servers: `127.0.0.1:${port}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
    // A server that is killed while it greets is otherwise waited for 20 seconds.
    timeout: 2_000,
    ...options,
  });

interface Connz {
  readonly connections: readonly {
    readonly subscriptions: number;
    readonly subscriptions_list?: readonly string[];
  }[];
}

/** How much all clients of the server have subscribed now. */
export async function subscriptionsOf(server: NatsServer): Promise<number> {
  const { connections } = (await server.monitor("connz")) as unknown as Connz;
  return connections.reduce((sum, { subscriptions }) => sum + subscriptions, 0);
}

/** What they have subscribed of an app's subjects, in order. */
export async function subjectsOn(server: NatsServer): Promise<string[]> {
  const { connections } = (await server.monitor("connz?subs=1")) as unknown as Connz;
  return connections
    .flatMap(({ subscriptions_list = [] }) => subscriptions_list)
    .filter((subject) => subject.startsWith("app."))
    .sort();
}

/** Waits for what must come; fails after `ms`. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  ms = 60_000,
): Promise<void> {
  const end = Date.now() + ms;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** `first`, `first + 1`, … as texts. */
export const numbers = (first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, i) => String(first + i));
