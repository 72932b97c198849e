import type {
  Gap,
  Message,
  PubSub,
  PubSubError,
  SubscribeOptions,
  Subscription,
} from "@lanai/pubsub";
import { textOf } from "@lanai/pubsub/backend";

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
