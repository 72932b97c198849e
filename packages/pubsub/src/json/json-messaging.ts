import { connectionSignal, type ResponseContext } from "@lanai/connection";
import { anything, checkOptions, func, type Rules } from "@lanai/connection/options";
import { bytesOf } from "../calls/payload.ts";
import { PubSubError } from "../errors.ts";
import type {
  HistoryOptions,
  Messaging,
  Meta,
  RawMessaging,
  TypedSubscribeOptions,
} from "../messaging.ts";
import type { Message, PublishOptions, PubSub, SubscribeOptions, Subscription } from "../pubsub.ts";
import { hasStreams, type StreamConfig, type Streams } from "../streams.ts";
import { asAppCall } from "../subjects/reserved.ts";
import { validateSubject } from "../subjects/subject.ts";
import { validateSubscribe } from "../subscription/subscribe-options.ts";
import { decode, encode } from "./codec.ts";
import { type Event, type EventStream, eventStream } from "./event-stream.ts";
import type { StandardSchema } from "./standard-schema.ts";

/** Receives failures of calls that have no `onError` of their own. */
export type Report = (error: PubSubError, meta?: Meta) => void;

/** JSON on top of a backend: of an app, or of one request. */
export class JsonMessaging implements Messaging {
  readonly backend: PubSub;
  readonly #report: Report;
  readonly #ctx: ResponseContext | undefined;

  /** @param ctx - The context with whose connection all subscriptions end. Default: none. */
  constructor(backend: PubSub, report: Report, ctx?: ResponseContext) {
    this.backend = backend;
    this.#report = report;
    this.#ctx = ctx;
  }

  publish<T>(subject: string, data: T, options?: PublishOptions): Promise<void> {
    let text: string;
    try {
      // Whatever the options hold, this is a call of the app.
      validateSubject(subject, "publish");
      text = encode(data);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.backend.publish(subject, text, options);
  }

  async subscribe<T>(
    subject: string,
    handler: (data: T, meta: Meta) => unknown,
    options: TypedSubscribeOptions<T> = {},
  ): Promise<Subscription> {
    const { schema, ...others } = options;
    validateSubject(subject, "subscribe");
    validateSubscribe(subject, handler, others);
    validateSchema(schema);
    const receive = (message: Message): unknown => {
      const data = decode(message.data, schema);
      const meta = metaOf(message);
      return data instanceof Promise ? data.then((it) => handler(it, meta)) : handler(data, meta);
    };
    return this.backend.subscribe(subject, receive, this.#options(others));
  }

  events<T>(subject: string, options: TypedSubscribeOptions<T> = {}): EventStream<T> {
    const { schema, ...others } = options;
    validateSubject(subject, "subscribe");
    validateSubscribe(subject, metaOf, others);
    validateSchema(schema);
    const report = others.onError ?? this.#report;
    return eventStream<T>(({ handler, failed, signal }) =>
      this.subscribe<T>(subject, (data, meta) => handler({ ...meta, data }), {
        ...options,
        signal: options.signal ? AbortSignal.any([options.signal, signal]) : signal,
        // Without a message it is why the subscription was closed.
        onError: (error, meta) => (meta ? report(error, meta) : failed(error)),
      }),
    );
  }

  async history<T>(
    subject: string,
    limit: number,
    options: HistoryOptions<T> = {},
  ): Promise<Event<T>[]> {
    checkOptions("history", options, HISTORY_OPTIONS);
    const { schema, onError = this.#report, since } = options;
    // Whatever the options hold, this is a call of the app.
    validateSubject(subject, "subscribe");
    validateSchema(schema);
    const events: Event<T>[] = [];
    for (const message of await this.#streams().history(subject, limit, { since })) {
      const meta = metaOf(message);
      try {
        events.push({ ...meta, data: await decode(message.data, schema) });
      } catch (error) {
        onError(error as PubSubError, meta);
      }
    }
    return events;
  }

  async ensureStream(config: StreamConfig): Promise<void> {
    await this.#streams().ensureStream(asAppCall(config));
  }

  get raw(): RawMessaging {
    return {
      publish: async (subject, data, options) => {
        if (!(data instanceof Uint8Array)) {
          throw new TypeError(`raw.publish: the data must be a Uint8Array, got ${typeof data}`);
        }
        validateSubject(subject, "publish");
        await this.backend.publish(subject, data, options);
      },
      subscribe: async (subject, handler, options = {}) => {
        validateSubject(subject, "subscribe");
        validateSubscribe(subject, handler, options);
        return this.backend.subscribe(
          subject,
          (message) => handler(new Uint8Array(bytesOf(message.data)), metaOf(message)),
          this.#options(options),
        );
      },
    };
  }

  #options(options: SubscribeOptions): SubscribeOptions {
    const connection = this.#ctx && connectionSignal(this.#ctx);
    const { signal = connection, onError = this.#report } = options;
    const both =
      connection && signal !== connection
        ? AbortSignal.any([connection, signal as AbortSignal])
        : signal;
    return { ...options, signal: both, onError };
  }

  #streams(): Streams {
    if (hasStreams(this.backend)) return this.backend;
    throw new PubSubError(
      "ERR_PUBSUB_NO_STREAMS",
      "this backend retains nothing: use one that does, such as memoryPubSub()",
    );
  }
}

const HISTORY_OPTIONS: Rules<HistoryOptions<unknown>> = {
  schema: anything,
  onError: func,
  since: anything,
};

const metaOf = ({ id, subject, time, replayed }: Message): Meta => ({
  id,
  subject,
  time,
  replayed,
});

function validateSchema(schema: StandardSchema | undefined): void {
  if (schema === undefined || typeof schema["~standard"]?.validate === "function") return;
  throw new TypeError(
    `schema must be a Standard Schema, as zod, valibot or arktype make, got ${typeof schema}`,
  );
}
