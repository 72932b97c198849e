import type { PubSubError } from "../errors.ts";
import type { Subscription } from "../pubsub.ts";

/** A message as it comes out of an iterator or of history. */
export interface Event<T = unknown> {
  /** The cursor, for `since`. `undefined` on a subject that no stream retains. */
  readonly id: string | undefined;
  /** The subject that the message was published under. */
  readonly subject: string;
  /** The value that was published. */
  readonly data: T;
  /** Milliseconds since the epoch. */
  readonly time: number;
  /** Whether it was read from history. */
  readonly replayed: boolean;
}

/**
 * A subscription as an async iterator. It begins when it is made, not at the first `next`, and ends
 * (`done`) with its signal, with its request, or when pub/sub is closed; it throws why it was closed
 * otherwise: `ERR_PUBSUB_SLOW`, `ERR_PUBSUB_NOT_RETAINED`, `ERR_PUBSUB_UNAVAILABLE`.
 */
export interface EventStream<T = unknown> extends AsyncIterableIterator<Event<T>> {
  /** Resolves when it has been subscribed: `recovered`, `cursor`. */
  readonly subscription: Promise<Subscription>;
  /** Ends it. It settles at once, also while it is being subscribed, and so does a waiting `next`. */
  return(): Promise<IteratorReturnResult<undefined>>;
  [Symbol.asyncDispose](): Promise<void>;
}

type Result<T> = IteratorResult<Event<T>, undefined>;

/** The handlers by which a subscription feeds an iterator. */
export interface EventSink<T> {
  readonly handler: (event: Event<T>) => Promise<void> | undefined;
  /** Called with the reason why the subscription was closed. */
  readonly failed: (error: PubSubError) => void;
  readonly signal: AbortSignal;
}

export function eventStream<T>(
  subscribe: (sink: EventSink<T>) => Promise<Subscription>,
): EventStream<T> {
  const controller = new AbortController();
  /** Calls of `next` that wait for an event. */
  const calls: PromiseWithResolvers<Result<T>>[] = [];
  /** The event that is next: the subscription keeps the others until it is taken. */
  let offered: { readonly event: Event<T>; readonly taken: () => void } | undefined;
  let ended = false;
  let failure: { readonly error: unknown } | undefined;

  const end = (): void => {
    ended = true;
    for (const next of calls.splice(0)) {
      if (failure) next.reject(failure.error);
      else next.resolve({ done: true, value: undefined });
      failure = undefined;
    }
  };

  const subscription = subscribe({
    signal: controller.signal,
    failed(error) {
      failure = { error };
    },
    handler(event) {
      if (ended) return undefined;
      const next = calls.shift();
      if (next) {
        next.resolve({ done: false, value: event });
        return undefined;
      }
      return new Promise<void>((taken) => {
        offered = { event, taken };
      });
    },
  });
  subscription.then(
    ({ closed }) => closed.then(end),
    (error: unknown) => {
      failure = { error };
      end();
    },
  );

  return {
    subscription,
    next() {
      if (offered) {
        const { event, taken } = offered;
        offered = undefined;
        taken();
        return Promise.resolve({ done: false, value: event });
      }
      if (failure && ended) {
        const { error } = failure;
        failure = undefined;
        return Promise.reject(error);
      }
      if (ended) return Promise.resolve({ done: true, value: undefined });
      const next = Promise.withResolvers<Result<T>>();
      calls.push(next);
      return next.promise;
    },
    async return() {
      offered?.taken();
      offered = undefined;
      failure = undefined;
      end();
      controller.abort();
      return { done: true, value: undefined };
    },
    async [Symbol.asyncDispose]() {
      await this.return();
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
