// `@lanai/session/tracker`: what the author of a tracker or of an id generator needs.
export { SessionError, type SessionErrorCode } from "../errors.ts";
export type { Id, IdGenerator } from "../id-generator.ts";
export { type SecretKey, secretKey } from "../secret-key.ts";
export type { Awaitable, SessionRecord } from "../store.ts";
export type {
  Admission,
  AdmissionContext,
  PresentedToken,
  PresentOptions,
  Refusal,
  RefusalTerms,
  Tracker,
} from "../tracker.ts";
