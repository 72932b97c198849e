export { type BearerTrackerOptions, bearerTracker } from "./bearer-tracker.ts";
export { JwtError, type JwtErrorCode } from "./errors.ts";
export type { JwtKeysStale, JwtSuperseded } from "./events.ts";
export { type JwtStore, type JwtStoreOptions, jwtStore } from "./jwt-store.ts";
export { type JwtTrackerOptions, jwtTracker } from "./jwt-tracker.ts";
export type { JwtAlgorithm, JwtKey, JwtKeys } from "./keys.ts";
export { type JwtRefusal, refusals } from "./refusals.ts";
export type { TokenOptions } from "./token-options.ts";
