import { func } from "@lanai/connection/options";
import { callBacking } from "./call-backing.ts";
import {
  type CompatStore,
  type CompatStoreOptions,
  checkArguments,
  compatStore,
} from "./compat-store.ts";

/** A store of express-session, in the few calls that are made of it. */
export interface ExpressStore {
  get(id: string, callback: (error: unknown, session?: unknown) => void): unknown;
  set(id: string, session: object, callback: (error?: unknown) => void): unknown;
  destroy(id: string, callback: (error?: unknown) => void): unknown;
}

/**
 * Makes a {@link CompatStore} of a store that was written for express-session, such as connect-redis
 * or connect-pg-simple. Its type says which laws it can't keep.
 *
 * The wrapped store stays the app's, which closes it. It learns when a session ends from
 * `cookie.expires`, as with express-session, so that its own clean-up goes on working; `touch` is
 * not called. An error of `get` with the code `ENOENT` is a missing session, as there.
 *
 * @throws {TypeError} for what is no store, and for an option that doesn't exist or can't be.
 */
export function fromExpressStore(
  store: ExpressStore,
  options: CompatStoreOptions = {},
): CompatStore {
  const example = "new RedisStore({ client }) of connect-redis";
  checkArguments("fromExpressStore", store, example, options, { clock: func });

  return compatStore(
    store,
    {
      get: (key) =>
        callBacking(() => called((callback) => store.get(key, callback))).catch(noneIfEnoent),
      async set(key, stored, ttl) {
        const cookie = {
          originalMaxAge: ttl,
          expires: new Date(Date.now() + ttl),
          httpOnly: true,
          path: "/",
        };
        await callBacking(() =>
          called((callback) => store.set(key, { cookie, ...stored }, callback)),
        );
      },
      async destroy(key) {
        await callBacking(() => called((callback) => store.destroy(key, callback)));
      },
    },
    options,
  );
}

type Callback = (error?: unknown, answer?: unknown) => void;

const called = (call: (callback: Callback) => unknown): Promise<unknown> =>
  new Promise((resolve, reject) => {
    call((error, answer) => (error ? reject(error) : resolve(answer)));
  });

function noneIfEnoent(error: { code?: unknown }): undefined {
  if (error.code !== "ENOENT") throw error;
}
