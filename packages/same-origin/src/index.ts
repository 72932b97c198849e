export type { RefusalReason } from "@lanai/connection/same-origin";
export { SameOriginError, type SameOriginErrorCode } from "./errors.ts";
export type { SameOriginEvent, SameOriginEventName } from "./events.ts";
export type { SameOriginOptions } from "./options.ts";
export { type SameOriginMiddleware, sameOrigin } from "./same-origin.ts";
