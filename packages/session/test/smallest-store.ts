import {
  type CommitResult,
  changed,
  type Ended,
  expiresAt,
  holds,
  type Key,
  REMEMBERED_FOR,
  RENEWED_FOR,
  SessionError,
  type SessionRecord,
  type Store,
} from "@lanai/session/store";

/** One for a session's whole life, under its key and under each key that it had in the last minute. */
interface Session {
  key: Key;
  record: SessionRecord;
  readonly oldKeys: Map<Key, { until: number; barred: boolean }>;
  readonly done: Map<string, CommitResult>;
}

/** The smallest store that keeps every law but those of owners: no I/O, so that every call is one step. */
export function smallestStore(clock: () => number = Date.now): Store {
  const sessions = new Map<Key, Session>();
  const ends = new Map<string, { ended: Ended | undefined; until: number }>();

  const find = (key: Key, now: number): Session | undefined => {
    for (const [name, { key: current, record, oldKeys }] of sessions) {
      const until = name === current ? Infinity : (oldKeys.get(name)?.until ?? 0);
      if (Math.min(until, expiresAt(record)) <= now) sessions.delete(name);
    }
    for (const [operation, { until }] of ends) if (until <= now) ends.delete(operation);
    return sessions.get(key);
  };
  const refuseTaken = (key: Key, now: number) => {
    if (find(key, now)) throw new SessionError("ERR_SESSION_KEY_TAKEN", "the key is in use");
  };

  return {
    load(key) {
      const now = clock();
      const session = find(key, now);
      if (!session) return { status: "none" };
      const { record } = session;
      return session.key === key ? { status: "live", record, now } : { status: "renewed" };
    },
    create(key, { operation, publicId, idle, absolute, ...given }) {
      const now = clock();
      if (find(key, now)?.done.has(operation)) return key;
      refuseTaken(key, now);
      const [values, owners] = [new Map(given.values), new Set(given.owners)];
      const instants = { createdAt: now, startedAt: now, seenAt: now };
      const record = { publicId, values, owners, idle, absolute, ...instants };
      const done = new Map([[operation, { status: "saved", key } as const]]);
      sessions.set(key, { key, record, oldKeys: new Map(), done });
      return key;
    },
    commit(key, change) {
      const now = clock();
      const session = find(key, now);
      if (!session) return { status: "gone" };
      const { record, oldKeys, done } = session;
      const first = done.get(change.operation);
      if (first) return first;
      const old = oldKeys.get(key);
      if (old && (old.barred || change.renewTo !== undefined)) return { status: "renewed" };
      if (!holds(change, record))
        return old ? { status: "renewed" } : { status: "conflict", record };
      if (change.renewTo !== undefined) {
        refuseTaken(change.renewTo, now);
        oldKeys.set(key, { until: now + RENEWED_FOR, barred: false });
        if (change.userChanged) for (const it of oldKeys.values()) it.barred = true;
        session.key = change.renewTo;
        sessions.set(session.key, session);
      }
      session.record = changed(record, change, now);
      const result: CommitResult = old
        ? { status: "saved", key, renewed: true }
        : { status: "saved", key: session.key };
      done.set(change.operation, result);
      return result;
    },
    destroy(key, operation) {
      const now = clock();
      const session = find(key, now);
      const first = operation === undefined ? undefined : ends.get(operation);
      if (first) return first.ended;
      const ended = session && { publicId: session.record.publicId, owners: session.record.owners };
      for (const [name, it] of sessions) if (it === session) sessions.delete(name);
      if (operation !== undefined) ends.set(operation, { ended, until: now + REMEMBERED_FOR });
      return ended;
    },
  };
}
