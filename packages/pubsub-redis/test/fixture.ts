import type { Gap, Message, PubSub, PubSubError, SubscribeOptions } from "@lanai/pubsub";
import { textOf } from "@lanai/pubsub/backend";
import { type RedisPubSubOptions, redisPubSub } from "@lanai/pubsub-redis";
import { Redis } from "ioredis";

/** A backend on a port of loopback, and the client that it was given. */
export const openBackend = (port: number, options: RedisPubSubOptions = {}) => {
  const client = new Redis(port, { retryStrategy: () => 20 });
  client.on("error", () => {});
  const backend = redisPubSub(client, options);
  return {
    client,
    backend,
    async [Symbol.asyncDispose]() {
      await backend.close();
      client.disconnect();
    },
  };
};

/** A subscription, and all that it was told. */
export const listen = async (
  backend: PubSub,
  subject: string,
  options: SubscribeOptions & { readonly handle?: (message: Message) => unknown } = {},
) => {
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
};

export const numbers = (first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, n) => `${first + n}`);

/** Waits until an expectation holds, and fails with why it doesn't. */
export async function eventually<T>(expectation: () => T | Promise<T>, ms = 10_000): Promise<T> {
  const end = Date.now() + ms;
  for (;;) {
    try {
      return await expectation();
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}
