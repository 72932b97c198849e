import type {
  Gap,
  Message,
  PubSub,
  PubSubError,
  SubscribeOptions,
  Subscription,
} from "@lanai/pubsub";
import { textOf } from "@lanai/pubsub/backend";
import { type NatsPubSub, type NatsPubSubOptions, natsPubSub } from "@lanai/pubsub-nats";
import type { ConnectionOptions } from "@nats-io/transport-node";
import { connectTo } from "./servers.ts";

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

export interface Listener {
  readonly subscription: Subscription;
  readonly messages: Message[];
  readonly texts: string[];
  readonly gaps: Gap[];
  readonly errors: PubSubError[];
}

/** A subscription and all that it is told. */
export async function listen(
  backend: PubSub,
  subject: string,
  options: SubscribeOptions & { readonly handle?: (message: Message) => unknown } = {},
): Promise<Listener> {
  const { handle, ...others } = options;
  const messages: Message[] = [];
  const texts: string[] = [];
  const gaps: Gap[] = [];
  const errors: PubSubError[] = [];
  const subscription = await backend.subscribe(
    subject,
    (message) => {
      messages.push(message);
      texts.push(textOf(message.data));
      return handle?.(message);
    },
    { onGap: (gap) => gaps.push(gap), onError: (error) => errors.push(error), ...others },
  );
  return { subscription, messages, texts, gaps, errors };
}
