import { type IndexedStore, memoryStore } from "@lanai/session";
import type {
  Change,
  CommitResult,
  Ended,
  Key,
  Loaded,
  NewRecord,
  SessionRecord,
} from "@lanai/session/store";
import type { OnCut } from "./link.ts";
import type { World } from "./world.ts";

/**
 * The model of a server with its store, of which every session that lives can be listed. `late`: those
 * that began, or were renewed, by a command that came after its connection was cut.
 */
export function watchedStore(world: Pick<World, "now" | "isLate">, onCut: OnCut) {
  const store = memoryStore({ clock: () => world.now });
  // Its sweeper is no event: what has expired is gone whether it was swept or not.
  store.close();
  const keys = new Set<string>();
  const late = new Set<string>();
  const creations = new Map<string, number>();
  const operations = new Set<string>();
  const ended = new Map<string, Ended>();
  /** The keys that sessions had before. */
  const old = new Set<Key>();
  const { create, commit, load, destroy } = store;
  // A store whose client sends commands again knows what was saved also when the session has ended, and
  // that a key is an old one by then. A destroy that has ended nothing is judged anew.
  const isKnown = (operation: string) => onCut === "resend" && operations.has(operation);
  const server: IndexedStore = Object.assign(store, {
    create: (key: Key, record: NewRecord) => {
      const { operation, publicId } = record;
      if (isKnown(operation)) return key;
      const isNew = load(key).status === "none";
      create(key, record);
      operations.add(operation);
      old.delete(key);
      keys.add(key);
      if (isNew) creations.set(publicId, (creations.get(publicId) ?? 0) + 1);
      if (isNew && world.isLate) late.add(publicId);
      return key;
    },
    commit: (key: Key, change: Change): CommitResult => {
      if (change.renewTo !== undefined) {
        keys.add(change.renewTo);
        if (world.isLate && change.publicId !== undefined) late.add(change.publicId);
      }
      const { operation, renewTo } = change;
      const isRepeat = isKnown(operation);
      let result = commit(key, change);
      if (isRepeat && result.status === "gone") result = { status: "saved", key: renewTo ?? key };
      if (isRepeat && result.status === "saved" && renewTo === undefined && old.has(key)) {
        result = { ...result, renewed: true };
      }
      if (result.status === "saved") operations.add(operation);
      if (result.status === "saved" && renewTo !== undefined) old.add(key);
      return result;
    },
    destroy: (key: Key, operation: string) => {
      const first = destroy(key, operation) ?? ended.get(operation);
      if (first || onCut === "reject") return first;
      const anew = destroy(key);
      if (anew) ended.set(operation, anew);
      return anew;
    },
  });
  const live = (): Map<Key, SessionRecord> => {
    const records = new Map<Key, SessionRecord>();
    for (const key of keys) {
      const loaded = store.load(key) as Loaded;
      if (loaded.status === "live") records.set(key, loaded.record);
    }
    return records;
  };
  return { server, live, late, creations };
}
