import type { SessionError } from "../errors.ts";
import { mustBeIndexed } from "../indexed-store.ts";
import { actingOwner, type ImpersonateOptions, type Impersonator } from "./acting-owner.ts";
import { USER } from "./draft.ts";
import { BEHIND, impersonatedError, impersonationTimeout, restore } from "./impersonation.ts";
import { requiredError } from "./refusal.ts";
import { ANONYMOUS, type RequestState } from "./request-state.ts";
import { METHODS, storedMethods } from "./sign-in-methods.ts";
import { endUnheld } from "./unheld.ts";
import { checkUserId, isUserId, userOwner } from "./user.ts";

/** The 401 of a call that needs somebody who is signed in. */
export function signInFirst({ settings, refusal }: RequestState): SessionError {
  return requiredError("sign in first", settings.property, settings.tracker, refusal);
}

/** Returns who is signed in. The user of a session that can't be read equals nobody. */
export function signedInUser(request: RequestState): string | undefined {
  const { draft, record } = request;
  try {
    request.mustBeReadable();
    const user = draft.read(USER, record);
    return isUserId(user) ? user : undefined;
  } catch {
    return "";
  }
}

/** Returns who acts by the session of a request, or is about to. */
export function impersonatorOf({
  stored,
  impersonatorSession,
  draft,
}: RequestState): Impersonator | undefined {
  if (stored) return stored.impersonator;
  return impersonatorSession && (draft.read(BEHIND, undefined) as Impersonator);
}

/**
 * Returns when the person at the client has signed in or re-authenticated: when the absolute timeout of
 * their session began to run, which these alone begin anew.
 */
export function authenticatedAt(request: RequestState, now: number): number | undefined {
  const { stored, impersonatorSession, draft, record } = request;
  if (stored?.impersonator) return stored.impersonator.authenticatedAt;
  if (impersonatorSession) return impersonatorSession.record.startedAt;
  const isPending = draft.renewal === "login" || draft.renewal === "reauthenticate";
  return isPending ? now : record?.startedAt;
}

/** Returns how the person at the client has signed in or re-authenticated. */
export function methodsIn({ stored, draft, record }: RequestState): readonly string[] {
  return stored?.impersonator?.methods ?? storedMethods(draft.read(METHODS, record));
}

/** The request goes on with a new session of the user, which is stored with what the request has set. */
export function beginImpersonation(
  request: RequestState,
  userId: string,
  options: ImpersonateOptions,
): void {
  checkUserId(userId);
  const { draft, settings, stored } = request;
  const { store, absoluteTimeout } = settings;
  const timeout = impersonationTimeout(options, absoluteTimeout);
  mustBeIndexed(store);
  if (impersonatorOf(request)) throw impersonatedError();
  const ownId = draft.read(USER, request.record);
  if (!isUserId(ownId)) throw signInFirst(request);
  if (stored === undefined || draft.renewal !== undefined) {
    throw new TypeError(
      "impersonate(userId): this request has signed in or renewed the id: await session.commit() first",
    );
  }
  request.become(ANONYMOUS);
  request.impersonatorSession = stored;
  const { publicId, key } = stored;
  draft.set(BEHIND, { userId: ownId, publicId, key });
  draft.set(USER, userId);
  draft.addOwner(userOwner(userId));
  draft.addOwner((own) => actingOwner(own, publicId));
  draft.absoluteTimeout = timeout;
  draft.renewal = "login";
}

/**
 * Drops the session that the request was about to begin: its session is the one that it came with.
 */
export function forgetImpersonation(request: RequestState): void {
  const { impersonatorSession } = request;
  if (impersonatorSession === undefined) return;
  request.impersonatorSession = undefined;
  request.become({ status: "live", stored: impersonatorSession });
}

/** @returns Whether the request goes on with the session of the impersonator. */
export async function stopImpersonation(request: RequestState): Promise<boolean> {
  const { ctx, draft, settings, stored } = request;
  if (stored?.impersonator === undefined) return false;
  draft.clear();
  const stopped = await restore(settings, stored, stored.impersonator, {
    ctx,
    onUnknown: (key) => endUnheld(request, { key, wasKnown: true }),
  });
  // If this fails, the session opens nothing all the same.
  await settings.ends.end(stored).catch(() => {});
  if (stopped.status === "restored") {
    const { record, publicId } = stopped.stored;
    request.become({ status: "live", stored: stopped.stored });
    request.sendId();
    request.emit("renewed", { publicId });
    await settings.ends.report(record, "renewed");
  } else if (stopped.status === "elsewhere") {
    // Its response brings the id, which this one must not replace.
    request.become({ status: "renewed" });
  } else {
    request.become(ANONYMOUS);
    request.clearId();
  }
  return stopped.status === "restored";
}
