import { func, text } from "@lanai/connection/options";
import { callBacking } from "./call-backing.ts";
import {
  type CompatStore,
  type CompatStoreOptions,
  checkArguments,
  compatStore,
} from "./compat-store.ts";

/** A store of koa-session or koa-generic-session, in the few calls that are made of it. */
export interface KoaStore {
  get(key: string, maxAge: number | undefined, options: { readonly rolling: boolean }): unknown;
  set(
    key: string,
    session: object,
    maxAge: number,
    options: { readonly changed: boolean; readonly rolling: boolean },
  ): unknown;
  destroy(key: string): unknown;
}

/** Options of `fromKoaStore`. */
export interface KoaStoreOptions extends CompatStoreOptions {
  /** Before each key, as koa-session's `prefix`. Default: `lanai:`. */
  readonly prefix?: string;
}

/**
 * Makes a {@link CompatStore} of a store that was written for koa-session or koa-generic-session,
 * such as koa-redis. Its type says which laws it can't keep.
 *
 * The wrapped store stays the app's, which closes it. It learns when a session ends from the
 * `maxAge` of `set`, in milliseconds, and is never given a `ctx`: one that needs it can't be wrapped.
 *
 * @throws {TypeError} for what is no store, and for an option that doesn't exist or can't be.
 */
export function fromKoaStore(store: KoaStore, options: KoaStoreOptions = {}): CompatStore {
  const rules = { clock: func, prefix: text() };
  checkArguments("fromKoaStore", store, "koaRedis({ client })", options, rules);
  const { prefix = "lanai:" } = options;

  return compatStore(
    store,
    {
      get: (key) => callBacking(() => store.get(prefix + key, undefined, { rolling: false })),
      async set(key, stored, ttl) {
        const maxAge = Math.ceil(ttl);
        const session = { ...stored, _expire: Date.now() + maxAge, _maxAge: maxAge };
        const how = { changed: true, rolling: false };
        await callBacking(() => store.set(prefix + key, session, maxAge, how));
      },
      async destroy(key) {
        await callBacking(() => store.destroy(prefix + key));
      },
    },
    options,
  );
}
