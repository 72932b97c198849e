export {
  type Bus,
  createPubSub,
  type ErrorListener,
  type PubSubMiddleware,
  type PubSubOptions,
  pubsub,
} from "./bus.ts";
export { PubSubError, type PubSubErrorCode, type PubSubErrorOptions } from "./errors.ts";
export type { Event, EventStream } from "./event-stream.ts";
export type { PubSubEvent, PubSubEventName } from "./events.ts";
export { type MemoryPubSubOptions, memoryPubSub } from "./memory-pubsub.ts";
export type {
  HistoryOptions,
  Messaging,
  Meta,
  RawMessaging,
  TypedSubscribeOptions,
} from "./messaging.ts";
export type {
  Gap,
  Handler,
  Message,
  Payload,
  PublishOptions,
  PubSub,
  QueueOptions,
  SubscribeOptions,
  Subscription,
} from "./pubsub.ts";
export type { SchemaIssue, SchemaResult, StandardSchema } from "./standard-schema.ts";
export { hasStreams, type StreamConfig, type Streams } from "./streams.ts";
export { token } from "./subject.ts";
