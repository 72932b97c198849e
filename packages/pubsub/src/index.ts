export {
  type Bus,
  createPubSub,
  type ErrorListener,
  type PubSubMiddleware,
  type PubSubOptions,
  pubsub,
} from "./bus.ts";
export { clientCount } from "./calls/client-count.ts";
export { compareCursors } from "./cursor.ts";
export { PubSubError, type PubSubErrorCode } from "./errors.ts";
export type { PubSubEvent, PubSubEventName } from "./events.ts";
export type { Event, EventStream } from "./json/event-stream.ts";
export type { SchemaIssue, SchemaResult, StandardSchema } from "./json/standard-schema.ts";
export { type MemoryPubSubOptions, memoryPubSub } from "./memory/memory-pubsub.ts";
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
export type { HistoryRange, StreamConfig, Streams } from "./streams.ts";
export { token } from "./subjects/subject.ts";
