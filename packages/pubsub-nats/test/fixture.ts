import { type NatsPubSub, type NatsPubSubOptions, natsPubSub } from "@lanai/pubsub-nats";
import type { ConnectionOptions } from "@nats-io/transport-node";
import { connectTo } from "./servers.ts";

export { type Listener, listen } from "../../pubsub/test/listen.ts";

/** A backend with a connection of its own; both end with the test. */
export interface Opened extends AsyncDisposable {
  readonly backend: NatsPubSub;
}

export async function openBackend(
  server: { readonly port: number },
  options: NatsPubSubOptions = {},
  connection: ConnectionOptions = {},
): Promise<Opened> {
  const nc = await connectTo(server, connection);
  const backend = natsPubSub(nc, options);
  return {
    backend,
    async [Symbol.asyncDispose]() {
      await backend.close();
      await nc.close();
    },
  };
}
