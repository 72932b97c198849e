export type { OverflowPolicy, QueueOptions } from "@lanai/connection/queue";
export { SseError, type SseErrorCode } from "./errors.ts";
export type { SseReport, SseReportName } from "./events.ts";
export type { SseEvent } from "./frame.ts";
export type {
  CloseOptions,
  SseOptions,
  SseStreamOptions,
} from "./options.ts";
export { type Sse, sse } from "./sse.ts";
export type { SseStream } from "./sse-stream.ts";
