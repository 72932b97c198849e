export { SseError, type SseErrorCode, type SseErrorOptions } from "./errors.ts";
export type { EventStream } from "./event-stream.ts";
export type { SseEvent } from "./frame.ts";
export type { EventStreamOptions, OverflowPolicy, SseOptions } from "./options.ts";
export { type Sse, sse } from "./sse.ts";
