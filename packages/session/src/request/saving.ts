import type { Id } from "../id-generator.ts";
import { isPromise } from "../manager/call-store.ts";
import type { Session } from "../session.ts";
import type { Awaitable, CommitResult } from "../store.ts";
import type { Changes } from "../stores/changed.ts";
import { keyOf } from "../stores/session-key.ts";
import { Creation } from "./creation.ts";
import type { Sent } from "./draft.ts";
import { sentError } from "./failures.ts";
import type { RequestState } from "./request-state.ts";
import { CONFLICT, retry } from "./retry.ts";
import type { StoredSession } from "./stored-session.ts";
import { endUnheld, isUnknown } from "./unheld.ts";
import { UserLimit } from "./user-limit.ts";

/**
 * Brings the draft of a request into the store: into the session that was loaded, or into a new one.
 *
 * - What is in the draft is stored as a whole, or stays in it. It is dropped only if somebody else has
 *   renewed or ended the session, and then an event says so.
 * - A sign-in is never dropped: if the session has ended meanwhile, a new one begins.
 */
export class Saving {
  readonly #request: RequestState;
  readonly #session: () => Session;
  /** Made when they are needed first: most requests that write neither sign in nor begin a session. */
  #limit: UserLimit | undefined = undefined;
  #creation: Creation | undefined = undefined;

  constructor(request: RequestState, session: () => Session) {
    this.#request = request;
    this.#session = session;
  }

  get #userLimit(): UserLimit {
    this.#limit ??= new UserLimit(this.#request);
    return this.#limit;
  }

  /** The id of the session that is about to be created. */
  get newId(): Id | undefined {
    return this.#creation?.newId;
  }

  /** The report of the sessions that ended because the user has too many. */
  get reporting(): Promise<unknown> | undefined {
    return this.#limit?.reporting;
  }

  /** Stores what is in the draft, and extends the idle time if that is due. */
  save(): Awaitable<void> {
    const { draft, stored, status } = this.#request;
    draft.noticeChangesInPlace();
    if (stored) return this.#saveTo(stored);
    if (draft.renewal === "login") return this.#create();
    if (!draft.isWorthStoring) return;
    if (status === "anonymous") return this.#create();
    if (status === "renewed") this.#request.dropDraft();
    else this.#request.mustBeReadable();
  }

  async #create(): Promise<void> {
    this.#creation ??= new Creation(this.#request, this.#userLimit, this.#session);
    const wasStored = await this.#creation.create();
    const { stored, departure } = this.#request;
    this.#request.sendId();
    if (!wasStored || !stored) return;
    try {
      await this.#saveTo(stored);
    } catch (error) {
      const isUnheld = () => departure?.isIdWithheld === true;
      endUnheld(this.#request, { key: stored.key, isUnheld, wasKnown: false });
      throw error;
    }
  }

  #saveTo(stored: StoredSession): Awaitable<void> {
    const { draft, departure, settings } = this.#request;
    const change = draft.change(stored.record, settings);
    if (change === undefined) return stored.isTouchDue ? this.#touch(stored) : undefined;
    const { carriesData } = settings.store;
    const { renewal } = draft;
    if (departure?.isTooLateForId && (renewal || carriesData)) throw sentError();
    if (renewal && !carriesData) return this.#renew(stored, change);
    const result = this.#storeDraft(stored, change);
    // A store in memory has returned already.
    if (isPromise(result) || result.status !== "saved") {
      return this.#settle(stored, change, result, undefined);
    }
  }

  async #renew(stored: StoredSession, change: Changes): Promise<void> {
    const { settings, ctx } = this.#request;
    const fresh = await settings.generator.generate(ctx);
    // The first two characters stay: they are a cluster's hash tag.
    const renewTo = `${stored.key.slice(0, 2)}${fresh.slice(2)}`;
    await this.#settle(stored, change, this.#storeDraft(stored, change, renewTo), renewTo);
  }

  /** Stores until the change is in, or there is nothing left that it could go into. */
  async #settle(
    stored: StoredSession,
    first: Changes,
    attempt: Awaitable<CommitResult>,
    newId: Id | undefined,
  ): Promise<void> {
    const { draft, settings } = this.#request;
    let change = first;
    let renewTo = newId;
    let result: CommitResult | undefined = await attempt;
    await retry<void>(async () => {
      result ??= await this.#storeDraft(stored, change, renewTo);
      const { status } = result;
      result = undefined;
      if (status === "saved") return;
      if (status === "conflict") {
        change = draft.change(stored.record, settings) ?? {};
        return CONFLICT;
      }
      // Somebody else renewed or ended what was there. Who has just proved who they are begins anew.
      if (draft.renewal === "login") return this.#create();
      if (status === "gone") {
        this.#request.losesToEnd();
      } else if (renewTo === undefined || draft.renewal === "reauthenticate") {
        // A fresh sign-in never goes to a session whose id somebody else has.
        this.#request.losesToRenewal(stored);
      } else {
        // The second of two renewals. What it set is still written by the old id, if that may write.
        renewTo = undefined;
        return CONFLICT;
      }
    });
    if (renewTo !== undefined && stored.id === renewTo) await this.#reportRenewal(stored);
  }

  async #reportRenewal({ record }: StoredSession): Promise<void> {
    this.#request.emit("renewed", { publicId: record.publicId });
    await this.#request.settings.ends.report(record, "renewed");
  }

  #storeDraft(stored: StoredSession, change: Changes, renewTo?: Id): Awaitable<CommitResult> {
    const { draft, departure } = this.#request;
    const isLast = departure?.isClosing;
    const sent = isLast ? undefined : draft.sent();
    const limitOwner = draft.renewal === "login" ? this.#userLimit.current : undefined;
    const limited = limitOwner ? { ...change, limitOwner } : change;
    const undo = renewTo === undefined ? undefined : () => this.#endRenewed(renewTo);
    const result = this.#request.commitTo(stored, limited, renewTo, isLast, undo);
    if (!isPromise(result)) return this.#take(stored, result, renewTo, sent);
    departure?.beginCall();
    return this.#takeLater(stored, result, renewTo, sent, undo);
  }

  /** Ends the session under an id that no client will be sent. */
  #endRenewed(id: Id): void {
    endUnheld(this.#request, { key: keyOf(id), wasKnown: true });
  }

  async #takeLater(
    stored: StoredSession,
    committing: Promise<CommitResult>,
    renewTo: Id | undefined,
    sent: Sent | undefined,
    undo: (() => void) | undefined,
  ): Promise<CommitResult> {
    const { departure } = this.#request;
    try {
      const result = this.#take(stored, await committing, renewTo, sent);
      if (result.status !== "saved") departure?.callFailed();
      return result;
    } catch (error) {
      departure?.callFailed();
      if (isUnknown(error)) undo?.();
      throw error;
    }
  }

  /** Takes out of the draft what a commit has stored. */
  #take(
    stored: StoredSession,
    result: CommitResult,
    renewTo: Id | undefined,
    sent: Sent | undefined,
  ): CommitResult {
    if (result.status !== "saved") return result;
    const { draft } = this.#request;
    if (renewTo !== undefined || draft.persists || stored.persists) this.#request.sendId();
    if (sent) draft.settle(sent, stored.record);
    else draft.clear();
    return result;
  }

  /** Extends the idle time of a session that was only read. */
  async #touch(stored: StoredSession): Promise<void> {
    const { departure, settings, ctx } = this.#request;
    stored.isTouchDue = false;
    if (ctx && !settings.touch(ctx)) return;
    departure?.beginCall();
    try {
      const { status } = await stored.commit({ touch: true });
      if (status === "saved" && stored.persists) this.#request.sendId();
    } catch {
      // Reported already. Nothing that the app did is lost, so the response may leave.
    }
  }
}
