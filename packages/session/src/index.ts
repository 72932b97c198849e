export type { DeviceSummary, DevicesOptions } from "./devices/device.ts";
export { SessionError, type SessionErrorCode } from "./errors.ts";
export type { SessionEvent, SessionEventName } from "./events.ts";
export type { Id, IdGenerator } from "./id-generator.ts";
export { randomIds } from "./ids/random-ids.ts";
export { type Sha1IdsOptions, sha1Ids } from "./ids/sha1-ids.ts";
export { uuidIds } from "./ids/uuid-ids.ts";
export type { IndexedStore } from "./indexed-store.ts";
export type { ReleasedSession, SessionEnd } from "./manager/ends.ts";
export type { SessionOwner, SessionSummary } from "./manager/owned-sessions.ts";
export { type RequireSessionOptions, requireSession } from "./manager/require-session.ts";
export { returnPath } from "./manager/return-path.ts";
export type { SessionsOptions } from "./options.ts";
export type { ImpersonateOptions, Impersonator } from "./request/acting-owner.ts";
export type { DestroyOptions, SiteData } from "./request/clear-site-data.ts";
export type { SignInOptions } from "./request/sign-in-methods.ts";
export type { SecretKey } from "./secret-key.ts";
export type { Session, SessionData } from "./session.ts";
export type { Entries } from "./session-entries.ts";
export {
  type CreateSessionOptions,
  createSessions,
  type Received,
  type SessionMiddleware,
  type Sessions,
  session,
} from "./sessions.ts";
export type { Awaitable, Ended, Store } from "./store.ts";
export { type EncryptedOptions, encrypted } from "./stores/encrypted.ts";
export { type MemoryStore, type MemoryStoreOptions, memoryStore } from "./stores/memory-store.ts";
export { type SealedStore, type SealedStoreOptions, sealedStore } from "./stores/sealed-store.ts";
export type { Tracker } from "./tracker.ts";
export type { CookieTrackerOptions } from "./trackers/cookie-options.ts";
export { cookieTracker } from "./trackers/cookie-tracker.ts";
export { firstOf } from "./trackers/first-of.ts";
export { type HeaderTrackerOptions, headerTracker } from "./trackers/header-tracker.ts";
export { type QueryTrackerOptions, queryTracker } from "./trackers/query-tracker.ts";
