import { setImmediate as turn } from "node:timers/promises";
import type { IndexedStore } from "@lanai/session/store";
import { sqliteStore } from "../src/index.ts";

/** A store that loses updates between processes: it loads, changes and saves everything. */
export function openStore(path: unknown): IndexedStore {
  const store = sqliteStore(path as string);
  return {
    ...store,
    async commit(key, change) {
      const before = await store.load(key);
      for (let n = 0; n < 5; n++) await turn();
      if (before.status !== "live" || change.expect) return store.commit(key, change);
      return store.commit(key, {
        ...change,
        set: new Map([...before.record.values, ...(change.set ?? [])]),
        // What another has set meanwhile is not in it.
        delete: new Set(
          ["d:a", "d:b"].filter((it) => !before.record.values.has(it) && !change.set?.has(it)),
        ),
      });
    },
  };
}
