import { kindOf } from "@lanai/connection/options";
import type { ConnectionOptions, NatsConnection } from "@nats-io/transport-node";
import { unavailable } from "../errors.ts";

/** A connection with the options that were given to `connect`: the client keeps them. */
type NatsWithOptions = NatsConnection & { readonly options?: ConnectionOptions };

/**
 * Checks what the app has connected, and with which options: those under which a promise can't hold
 * are refused. The README lists what all others change.
 *
 * @throws TypeError that says what came and what is accepted; PubSubError `ERR_PUBSUB_UNAVAILABLE` if
 *   the connection is closed.
 */
export function checkConnection(
  connection: NatsConnection,
  { inboxPrefix }: { readonly inboxPrefix?: string },
): { readonly inboxPrefix: string } {
  const { publish, subscribe, status, options } = (connection ?? {}) as Partial<NatsWithOptions>;
  if (![publish, subscribe, status].every((method) => typeof method === "function")) {
    throw new TypeError(
      "natsPubSub: the first argument must be a connection: await connect({ servers, " +
        `maxReconnectAttempts: -1 }) of @nats-io/transport-node, got ${kindOf(connection)}`,
    );
  }
  if (connection.isClosed?.() || connection.isDraining?.()) {
    throw unavailable("the connection to NATS is closed: connect again and pass the new one");
  }
  if (connection.info?.headers === false) {
    throw unavailable("the NATS server has no_header_support: publishes need an id in a header");
  }
  if (options?.noEcho) {
    throw new TypeError(
      "natsPubSub: the connection must not have the option noEcho: a publisher that subscribes " +
        "would not hear itself",
    );
  }
  const used = options?.inboxPrefix ?? inboxPrefix ?? "_INBOX";
  if (inboxPrefix !== undefined && inboxPrefix !== used) {
    throw new TypeError(
      `natsPubSub: inboxPrefix must be that of the connection, ${used}, got ${inboxPrefix}`,
    );
  }
  return { inboxPrefix: used };
}
