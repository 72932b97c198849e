export { BOUND_ENTRY, type BoundDevice, boundDevice } from "./binding.ts";
export {
  type BoundMiddleware,
  type BoundSessions,
  boundSessions,
  requireBound,
} from "./bound-sessions.ts";
export type { BoundAlgorithm } from "./device-key.ts";
export { BoundError, type BoundErrorCode } from "./errors.ts";
export type { BoundEvent, BoundEventName } from "./events.ts";
export type { LiveClients, LiveListener } from "./listeners.ts";
export type {
  BoundScope,
  BoundSessionsOptions,
  RequireBoundOptions,
  RequirePolicy,
} from "./options.ts";
