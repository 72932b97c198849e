import type { ExtendableContext } from "koa";
import type { Id } from "../id-generator.ts";
import { isPromise } from "../manager/call-store.ts";
import type { SessionSettings } from "../manager/settings.ts";
import type { Awaitable, Loaded } from "../store.ts";
import type { Admission, PresentedToken, Refusal } from "../tracker.ts";
import { BELONGS_TO, PERSIST } from "./draft.ts";
import { codeOf } from "./failures.ts";
import { BEHIND, findImpersonator } from "./impersonation.ts";
import { CONFLICT, retry } from "./retry.ts";
import { DamagedSession, keyFor, StoredSession } from "./stored-session.ts";

/** The result of recognizing one token. */
type Examined =
  /** It counts: its session is live, and its tracker admits it. */
  | { readonly status: "live"; readonly stored: StoredSession; readonly reissue: boolean }
  /** Its id was renewed by somebody else; `former` if that happened after it was loaded. */
  | { readonly status: "renewed"; readonly former?: StoredSession }
  | Damaged
  | Refused;

/** The record under its key can't be read. */
interface Damaged {
  readonly status: "damaged";
  readonly damaged: DamagedSession;
}

interface Refused {
  readonly status: "refused";
  readonly refusal: Refusal;
  /** The session that it named, if there is one. */
  readonly publicId?: string;
  /** Ends that session, after the refusal was reported. */
  readonly end?: () => Promise<void>;
}

/** The result of recognizing all tokens of a request. */
export type Recognised =
  | { readonly status: "live"; readonly stored: StoredSession; readonly reissue: boolean }
  | { readonly status: "renewed"; readonly former?: StoredSession }
  | Damaged
  | {
      readonly status: "anonymous";
      /** Absent if the request brought no token. */
      readonly refusal?: Refusal;
      readonly publicId?: string;
      /** Sessions that count and differ: which of them is meant can't be known. */
      readonly rivals?: readonly StoredSession[];
      readonly end?: () => Promise<void>;
    };

/** The greatest number of different tokens of a request that are loaded. */
const MAX_TOKENS = 3;

const NO_TOKEN: Recognised = Object.freeze({ status: "anonymous" });
const RENEWED: Examined = Object.freeze({ status: "renewed" });

/**
 * Finds the session that the tokens of a request name. Changes nothing of the request.
 *
 * A token *counts* only if its session is live and its tracker admits it; malformed, unknown, ended and
 * renewed ones don't (S18). One that counts is the request's session. Two that count and differ leave
 * the request anonymous.
 */
export function recognise(
  settings: SessionSettings,
  tokens: readonly PresentedToken[],
  ctx: ExtendableContext | undefined,
): Awaitable<Recognised> {
  // Not destructured: that makes an iterator, for every request.
  const token = tokens[0];
  if (token === undefined) return NO_TOKEN;
  if (tokens.length > 1) return recogniseSeveral(settings, tokens, ctx);
  const examined = examine(settings, token, ctx);
  return isPromise(examined) ? examined.then(recognised) : recognised(examined);
}

async function recogniseSeveral(
  settings: SessionSettings,
  tokens: readonly PresentedToken[],
  ctx: ExtendableContext | undefined,
): Promise<Recognised> {
  const examined: Examined[] = [];
  for (const token of candidatesIn(settings, tokens))
    examined.push(await examine(settings, token, ctx));
  const live = examined.filter((it) => it.status === "live");
  const ends = examined.flatMap((it) => (it.status === "refused" && it.end ? [it.end] : []));
  const end = ends.length === 0 ? undefined : () => inTurn(ends);
  if (live.length > 1) {
    const rivals = live.map(({ stored }) => stored);
    return { status: "anonymous", refusal: { reason: "ambiguous" }, rivals, ...(end && { end }) };
  }
  const chosen =
    live[0] ??
    examined.find((it) => it.status === "damaged") ??
    examined.find((it) => it.status === "renewed") ??
    examined[0];
  if (chosen === undefined) return NO_TOKEN;
  if (chosen.status === "refused") return { ...recognised(chosen), ...(end && { end }) };
  await end?.();
  return chosen;
}

async function inTurn(calls: readonly (() => Promise<void>)[]): Promise<void> {
  for (const call of calls) await call();
}

/**
 * The first three different tokens that the store could know. Malformed ones take no place, however
 * many there are; one that comes first is kept, because the request may be refused for it.
 */
function candidatesIn(
  settings: SessionSettings,
  tokens: readonly PresentedToken[],
): PresentedToken[] {
  const ids = new Set<Id>();
  return tokens.filter((token, at) => {
    const { id } = token;
    if (id === undefined || !hasForm(settings, id)) return at === 0;
    if (ids.has(id) || ids.size === MAX_TOKENS) return false;
    ids.add(id);
    return true;
  });
}

/** Whether an id can be one of the store's, or of the generator's. Costs no call of the store. */
const hasForm = ({ store, generator }: SessionSettings, id: Id): boolean =>
  (store.carriesData ?? generator).isValid(id);

function recognised(examined: Examined): Recognised {
  if (examined.status !== "refused") return examined;
  return { ...examined, status: "anonymous" };
}

const refused = (refusal: Refusal): Refused => ({ status: "refused", refusal });

function examine(
  settings: SessionSettings,
  token: PresentedToken,
  ctx: ExtendableContext | undefined,
): Awaitable<Examined> {
  if (token.id === undefined) return refused({ ...token, reason: token.refused });
  if (!hasForm(settings, token.id)) {
    return refused(token.ifMalformed ?? { reason: "malformed" });
  }
  return find(settings, token, ctx);
}

type TokenWithId = Extract<PresentedToken, { readonly id: Id }>;

function find(
  settings: SessionSettings,
  token: TokenWithId,
  ctx: ExtendableContext | undefined,
): Awaitable<Examined> {
  const key = keyFor(settings.store, token.id);
  try {
    const loaded = settings.load(key);
    if (isPromise(loaded)) return findLater(settings, token, ctx, key, loaded);
    const judged = judge(settings, token, ctx, key, loaded);
    return isPromise(judged) ? judged.catch((error) => damaged(settings, key, error)) : judged;
  } catch (error) {
    return damaged(settings, key, error);
  }
}

/** Apart, because the functions of an asynchronous store cost a request of another one, too. */
async function findLater(
  settings: SessionSettings,
  token: TokenWithId,
  ctx: ExtendableContext | undefined,
  key: string,
  loading: Promise<Loaded>,
): Promise<Examined> {
  try {
    return await judge(settings, token, ctx, key, await loading);
  } catch (error) {
    return damaged(settings, key, error);
  }
}

/** Returns the session of a record that can't be read. @throws any other error. */
function damaged(settings: SessionSettings, key: string, error: unknown): Damaged {
  if (codeOf(error) !== "ERR_SESSION_DECODE") throw error;
  return { status: "damaged", damaged: new DamagedSession(settings, key, error) };
}

function judge(
  settings: SessionSettings,
  token: TokenWithId,
  ctx: ExtendableContext | undefined,
  key: string,
  loaded: Loaded,
): Awaitable<Examined> {
  if (loaded.status === "renewed") return RENEWED;
  if (loaded.status === "none") {
    const unknown = refused(token.ifUnknown ?? { reason: "unknown" });
    const reporting = settings.ends.foundGone(key);
    return isPromise(reporting) ? reporting.then(() => unknown) : unknown;
  }
  const { record, now } = loaded;
  const stored = new StoredSession(settings, { id: token.id, key, record }, now - Date.now());
  const { idleTimeout, absoluteTimeout, store, tracker } = settings;
  // Timeouts that were lowered since hold for sessions that are already stored.
  const persists = record.values.has(PERSIST);
  const idle = persists ? record.idle : Math.min(record.idle, idleTimeout);
  const absolute = persists ? record.absolute : Math.min(record.absolute, absoluteTimeout);
  const idleFor = now - record.seenAt;
  if (idleFor >= idle || now - record.startedAt >= absolute) {
    const refusal: Refusal = { reason: "expired", level: "info" };
    const end = () => settings.ends.end(stored);
    return { status: "refused", refusal, publicId: record.publicId, end };
  }
  const belongsTo = record.values.get(BELONGS_TO);
  if (belongsTo !== undefined && ctx !== undefined) {
    const kind = tracker.tokenKind?.(ctx, token);
    // An id that stands in a token for all to read opens nothing by itself.
    if (kind === undefined || belongsTo !== JSON.stringify(kind)) {
      return { ...refused({ reason: "foreign" }), publicId: record.publicId };
    }
  }
  stored.isTouchDue = idleFor >= idle / 10 && store.carriesData === undefined;
  if (record.values.has(BEHIND)) return judgeImpersonated(settings, token, ctx, stored);
  return askTracker(settings, token, ctx, stored);
}

/** An impersonated session counts only while that of the impersonator lives. */
async function judgeImpersonated(
  settings: SessionSettings,
  token: TokenWithId,
  ctx: ExtendableContext | undefined,
  stored: StoredSession,
): Promise<Examined> {
  stored.impersonator = await findImpersonator(settings, stored.record, ctx);
  if (stored.impersonator) return askTracker(settings, token, ctx, stored);
  const refusal: Refusal = { reason: "impersonator", level: "info", shown: "ended" };
  const end = () => settings.ends.end(stored);
  return { status: "refused", refusal, publicId: stored.publicId, end };
}

function askTracker(
  settings: SessionSettings,
  token: TokenWithId,
  ctx: ExtendableContext | undefined,
  stored: StoredSession,
): Awaitable<Examined> {
  const { tracker } = settings;
  if (tracker.admit === undefined || ctx === undefined) {
    return { status: "live", stored, reissue: false };
  }
  return admit(settings, token, ctx, stored);
}

/** Asks the tracker; only a change of its own, or an end, takes a call of the store. */
function admit(
  settings: SessionSettings,
  token: TokenWithId,
  ctx: ExtendableContext,
  stored: StoredSession,
): Awaitable<Examined> {
  const admission = admissionOf(settings, token, ctx, stored);
  if (admission.status === "refuse" || admission.change === undefined) {
    return admitted(settings, stored, admission);
  }
  let last = admission;
  return retry<Examined>(async (tries) => {
    if (tries > 0) {
      const next = admissionOf(settings, token, ctx, stored);
      if (next.status === "refuse") return admitted(settings, stored, next);
      last = next;
    }
    const { change, reissue = false } = last;
    if (change === undefined) return admitted(settings, stored, last);
    const result = await stored.commit(change);
    switch (result.status) {
      case "saved":
        return { status: "live", stored, reissue };
      case "conflict":
        return CONFLICT;
      case "renewed":
        return { status: "renewed", former: stored };
      case "gone":
        return {
          ...refused(token.ifUnknown ?? { reason: "unknown" }),
          publicId: stored.publicId,
        };
    }
  });
}

function admissionOf(
  { tracker, store }: SessionSettings,
  token: TokenWithId,
  ctx: ExtendableContext,
  stored: StoredSession,
): Admission {
  const found = { now: stored.now, carriesData: store.carriesData !== undefined };
  return tracker.admit?.(ctx, token, stored.record, found) ?? { status: "accept" };
}

function admitted(
  settings: SessionSettings,
  stored: StoredSession,
  admission: Admission,
): Examined {
  if (admission.status === "accept") {
    return { status: "live", stored, reissue: admission.reissue ?? false };
  }
  return {
    status: "refused",
    refusal: admission,
    publicId: stored.publicId,
    ...(admission.destroy && { end: () => settings.ends.end(stored) }),
  };
}

/** Finds the session with an id, outside a request. */
export async function openSession(
  settings: SessionSettings,
  id: Id,
): Promise<StoredSession | undefined> {
  if (!hasForm(settings, id)) return undefined;
  const examined = await find(settings, { id }, undefined);
  if (examined.status === "refused") await examined.end?.();
  if (examined.status === "damaged") throw examined.damaged.error;
  return examined.status === "live" ? examined.stored : undefined;
}
