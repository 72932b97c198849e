export type { CompatStore, CompatStoreOptions } from "./compat-store.ts";
export { type ExpressStore, fromExpressStore } from "./from-express-store.ts";
export { fromKoaStore, type KoaStore, type KoaStoreOptions } from "./from-koa-store.ts";
export { type PlainSession, type PlainSessionOptions, plainSession } from "./plain-session.ts";
