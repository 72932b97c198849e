export { changed, holds } from "./changed.ts";
export { type CookieTrackerOptions, cookieTracker } from "./cookie-tracker.ts";
export { SessionError, type SessionErrorCode, type SessionErrorOptions } from "./errors.ts";
export type { SessionEvent, SessionEventName } from "./events.ts";
export { firstOf } from "./first-of.ts";
export { type HeaderTrackerOptions, headerTracker } from "./header-tracker.ts";
export type { Id, IdGenerator } from "./id-generator.ts";
export { type IndexedStore, isIndexed } from "./indexed-store.ts";
export { knownOptions } from "./known-options.ts";
export { type MemoryStore, type MemoryStoreOptions, memoryStore } from "./memory-store.ts";
export { type QueryTrackerOptions, queryTracker } from "./query-tracker.ts";
export { randomIds } from "./random-ids.ts";
export { type RequireSessionOptions, requireSession } from "./require-session.ts";
export { type SealedStore, type SealedStoreOptions, sealedStore } from "./sealed-store.ts";
export { type SecretKey, secretKey } from "./secret-key.ts";
export type { Entries, Session, SessionData } from "./session.ts";
export type { ReleasedSession } from "./session-work.ts";
export {
  type CreateSessionOptions,
  createSessions,
  type Received,
  type SessionEnd,
  type SessionMiddleware,
  type SessionSummary,
  type Sessions,
  type SessionsOptions,
  session,
  type Whose,
} from "./sessions.ts";
export { type Sha1IdsOptions, sha1Ids } from "./sha1-ids.ts";
export {
  type Awaitable,
  type Change,
  type CommitResult,
  type Ended,
  expiresAt,
  type Key,
  type Loaded,
  type NewRecord,
  RENEWED_FOR,
  type SessionRecord,
  type Store,
} from "./store.ts";
export type {
  Admission,
  Found,
  PresentOptions,
  RefusalTerms,
  Tracked,
  Tracker,
} from "./tracker.ts";
export { uuidIds } from "./uuid-ids.ts";
