import { checkOptions, duration, type Rules } from "@lanai/connection/options";
import type { ExtendableContext } from "koa";
import { SessionError } from "../errors.ts";
import { isIndexed, mustBeIndexed } from "../indexed-store.ts";
import type { SessionSettings } from "../manager/settings.ts";
import { expiresAt, type Key, type Loaded, type SessionRecord } from "../store.ts";
import { keyOf } from "../stores/session-key.ts";
import {
  actingOwner,
  type ImpersonateOptions,
  type Impersonator,
  impersonatedBy,
} from "./acting-owner.ts";
import { decode } from "./codec.ts";
import { PERSIST, USER } from "./draft.ts";
import { METHODS, storedMethods } from "./sign-in-methods.ts";
import { type FoundImpersonator, StoredSession } from "./stored-session.ts";
import { isUnknown } from "./unheld.ts";
import { userOwner } from "./user.ts";

/** The entry of an impersonated session that says who is behind it. */
export const BEHIND = "s:behind";

/** The value of {@link BEHIND}. */
interface Behind extends Impersonator {
  /** The key of the impersonator's session when it began. Renewals by others change it. */
  readonly key: Key;
}

const DEFAULT_TIMEOUT = 30 * 60_000;
const ENTRIES: ReadonlySet<string> = new Set([USER, METHODS]);

/** Returns how long an impersonated session lives. @throws TypeError or RangeError for bad options. */
export function impersonationTimeout(options: ImpersonateOptions, most: number): number {
  const rules: Rules<ImpersonateOptions> = { absoluteTimeout: duration(1000, most) };
  checkOptions("impersonate(userId, options)", options, rules);
  return options.absoluteTimeout ?? Math.min(DEFAULT_TIMEOUT, most);
}

export function impersonatedError(): SessionError {
  return new SessionError(
    "ERR_SESSION_IMPERSONATED",
    "this can't be done while acting for a user: stop that first",
    { status: 403, expose: true },
  );
}

/** Returns what a session says about who is behind it; `undefined` for a session of nobody else. */
export function impersonatorIn(values: ReadonlyMap<string, string>): Behind | undefined {
  const text = values.get(BEHIND);
  if (text === undefined) return undefined;
  const said = decode(text, BEHIND) as Partial<Behind> | undefined;
  const { userId, publicId, key } = said ?? {};
  const isOne = [userId, publicId, key].every((it) => typeof it === "string" && it !== "");
  if (!isOne) {
    throw new SessionError("ERR_SESSION_DECODE", "a session's entry s:behind can't be read");
  }
  return { userId, publicId, key } as Behind;
}

/**
 * Finds the session of whoever acts by an impersonated one: one load, or two more calls if its id was
 * renewed since. Use by the impersonator extends its idle time.
 *
 * @returns `undefined` if it has ended, or has stopped acting.
 */
export async function findImpersonator(
  settings: SessionSettings,
  impersonated: SessionRecord,
  ctx: ExtendableContext | undefined,
): Promise<FoundImpersonator | undefined> {
  const behind = impersonatorIn(impersonated.values);
  const { store, callStore } = settings;
  if (behind === undefined || !isIndexed(store)) return undefined;
  const owner = actingOwner(impersonated.publicId, behind.publicId);
  const loaded = await callStore(() => store.load(behind.key));
  const record =
    loaded.status === "live"
      ? loaded.record
      : (await callStore(() => store.list(owner, { entries: ENTRIES }))).find(
          (it) => it.publicId === behind.publicId,
        );
  if (record?.publicId !== behind.publicId || !record.owners.has(owner)) return undefined;
  const { startedAt, values } = record;
  if (loaded.status === "live") {
    if (isExpired(settings, loaded)) return undefined;
    await touch(settings, loaded, behind.key, ctx);
  }
  const methods = values.get(METHODS);
  return {
    ...behind,
    authenticatedAt: startedAt,
    methods: storedMethods(methods === undefined ? undefined : decode(methods, METHODS)),
  };
}

type LoadedLive = Extract<Loaded, { status: "live" }>;

/** Timeouts that were lowered since hold for sessions that are already stored. */
function isExpired(
  { idleTimeout, absoluteTimeout }: SessionSettings,
  { record, now }: LoadedLive,
): boolean {
  if (record.values.has(PERSIST)) return false;
  const idle = Math.min(record.idle, idleTimeout);
  const absolute = Math.min(record.absolute, absoluteTimeout);
  return expiresAt({ ...record, idle, absolute }) <= now;
}

async function touch(
  { store, callStore, operation, touch: isUse }: SessionSettings,
  { record, now }: LoadedLive,
  key: Key,
  ctx: ExtendableContext | undefined,
): Promise<void> {
  if (ctx === undefined || now - record.seenAt < record.idle / 10 || !isUse(ctx)) return;
  try {
    await callStore(() => store.commit(key, { operation: operation(), touch: true }));
  } catch {
    // Reported already, and nothing is lost.
  }
}

/**
 * Has the session of an impersonator say that it acts by another one, which is stored already. It acts by
 * one at a time.
 *
 * @returns Whether it lives: if not, the other one must not begin.
 */
export async function bind(
  { ends }: SessionSettings,
  impersonatorSession: StoredSession,
  impersonated: string,
): Promise<boolean> {
  const { publicId: by, record } = impersonatorSession;
  const before = impersonatedBy(by, record.owners);
  const ownerOf = (of: string) => actingOwner(of, by);
  const { status } = await impersonatorSession.commit({
    touch: true,
    addOwners: new Set([ownerOf(impersonated)]),
    ...(before.length > 0 && { removeOwners: new Set(before.map(ownerOf)) }),
  });
  if (status !== "saved") return false;
  for (const publicId of before) await ends.endImpersonated(publicId, by);
  return true;
}

/** The result of `stopImpersonating`. */
export type Stopped =
  | { readonly status: "restored"; readonly stored: StoredSession }
  /** Another request has stopped it before: its response has the id. */
  | { readonly status: "elsewhere" }
  /** The impersonator's session has ended. */
  | { readonly status: "ended" };

/**
 * Moves the impersonator's session to a new id. Of several calls exactly one does so.
 *
 * @param onUnknown - Called with the new key if the store hasn't said whether the session is there: the
 *   client won't get its id.
 */
export async function restore(
  settings: SessionSettings,
  impersonated: StoredSession,
  { userId, publicId, key }: Behind,
  { ctx, onUnknown }: { ctx: ExtendableContext | undefined; onUnknown: (key: Key) => void },
): Promise<Stopped> {
  const { callStore, generator, operation } = settings;
  const store = mustBeIndexed(settings.store);
  const owner = actingOwner(impersonated.publicId, publicId);
  const fresh = await generator.generate(ctx);
  const id = `${key.slice(0, 2)}${fresh.slice(2)}`;
  const change = {
    operation: operation(),
    renewTo: keyOf(id),
    touch: true,
    removeOwners: new Set([owner]),
    publicId,
  } as const;
  try {
    const { status } = await callStore(
      () => store.commitByPublicId(owner, publicId, change),
      (late) => late.status === "saved" && onUnknown(change.renewTo),
    );
    if (status !== "saved") {
      const own = await callStore(() => store.list(userOwner(userId), { entries: ENTRIES }));
      return { status: own.some((it) => it.publicId === publicId) ? "elsewhere" : "ended" };
    }
    const loaded = await callStore(() => store.load(change.renewTo));
    if (loaded.status !== "live") return { status: "ended" };
    const { record, now } = loaded;
    const where = { id, key: change.renewTo, record };
    return { status: "restored", stored: new StoredSession(settings, where, now - Date.now()) };
  } catch (error) {
    if (isUnknown(error)) onUnknown(change.renewTo);
    throw error;
  }
}
