import { randomBytes } from "node:crypto";
import type { ExtendableContext } from "koa";
import type { SessionError } from "../errors.ts";
import { events, type SessionEvent, type SessionEventName } from "../events.ts";
import type { Id } from "../id-generator.ts";
import type { SessionSettings } from "../manager/settings.ts";
import type { Awaitable, CommitResult, SessionRecord } from "../store.ts";
import type { Changes } from "../stores/changed.ts";
import type { Refusal } from "../tracker.ts";
import type { Departure } from "./departure.ts";
import { Draft } from "./draft.ts";
import { goneError, notLoadedError, renewedError } from "./failures.ts";
import type { DamagedSession, StoredSession } from "./stored-session.ts";

/** The state of the request's session. */
export type State =
  /** The request's tokens have not been examined yet. */
  | { readonly status: "unknown" }
  /** There is none; one is made if something is set. `refusal` says why a token was not accepted. */
  | {
      readonly status: "anonymous";
      readonly refusal?: Refusal;
      /** Sessions that count and differ. A sign-in or a sign-out ends them. */
      readonly rivals?: readonly StoredSession[];
    }
  | { readonly status: "live"; readonly stored: StoredSession }
  /**
   * Somebody else has renewed it: before this request came, or since, and the session doesn't accept
   * its writes any more. `former` is what this request had loaded, which it can still end.
   */
  | { readonly status: "renewed"; readonly former?: StoredSession }
  /** Its record can't be read. A sign-in or a sign-out ends it; everything else rejects. */
  | { readonly status: "damaged"; readonly damaged: DamagedSession }
  /** Somebody else has ended it since it was loaded. Nothing of this request may bring it back. */
  | { readonly status: "gone" };

export const UNKNOWN: State = Object.freeze({ status: "unknown" });
export const ANONYMOUS: State = Object.freeze({ status: "anonymous" });
export const GONE: State = Object.freeze({ status: "gone" });

/**
 * The state that the parts of a request's session share, and the one place where it changes.
 *
 * - Every change of the state goes through {@link become}, which also emits the event.
 * - Values that were decoded of one stored session are never watched beside another.
 * - A drop is reported once per request.
 */
export class RequestState {
  readonly settings: SessionSettings;
  readonly ctx: ExtendableContext | undefined;
  readonly departure: Departure | undefined;
  /** The session of whoever begins to act for another user, until that is stored. */
  impersonatorSession: StoredSession | undefined = undefined;
  #state: State;
  #hasReportedDrop = false;
  #newPublicId: string | undefined = undefined;
  #draft: Draft | undefined = undefined;

  constructor(
    settings: SessionSettings,
    ctx: ExtendableContext | undefined,
    departure: Departure | undefined,
    state: State,
  ) {
    this.settings = settings;
    this.ctx = ctx;
    this.departure = departure;
    this.#state = state;
  }

  /** Made when it is needed first: many requests leave their session alone. */
  get draft(): Draft {
    this.#draft ??= new Draft();
    return this.#draft;
  }

  get status(): State["status"] {
    return this.#state.status;
  }

  get stored(): StoredSession | undefined {
    return this.#state.status === "live" ? this.#state.stored : undefined;
  }

  get record(): SessionRecord | undefined {
    return this.stored?.record;
  }

  get refusal(): Refusal | undefined {
    return this.#state.status === "anonymous" ? this.#state.refusal : undefined;
  }

  /** The sessions that count and differ, all of which this request can end. */
  get rivals(): readonly StoredSession[] {
    return (this.#state.status === "anonymous" && this.#state.rivals) || [];
  }

  /** The session that this request has loaded or created, which it can end even if it was renewed. */
  get endable(): StoredSession | undefined {
    return storedIn(this.#state);
  }

  /** The session whose record can't be read, which this request can only end. */
  get damaged(): DamagedSession | undefined {
    return this.#state.status === "damaged" ? this.#state.damaged : undefined;
  }

  get publicId(): string | undefined {
    return this.endable?.publicId;
  }

  /** The public id that a new session of this request gets if one is stored. */
  get newPublicId(): string {
    this.#newPublicId ??= randomBytes(16).toString("base64url");
    return this.#newPublicId;
  }

  forgetNewPublicId(): void {
    this.#newPublicId = undefined;
  }

  become(state: State, name?: SessionEventName, event: Partial<SessionEvent> = {}): void {
    const publicId = event.publicId ?? this.publicId ?? storedIn(state)?.publicId;
    if (this.#draft && storedIn(state) !== storedIn(this.#state)) this.#draft.forgetRecord();
    this.#state = state;
    if (state.status !== "anonymous") this.#newPublicId = undefined;
    if (name) this.emit(name, { ...event, ...(publicId !== undefined && { publicId }) });
  }

  emit(name: SessionEventName, event: Partial<SessionEvent>): void {
    const { impersonator } = this.endable ?? {};
    events.emit(name, {
      level: "info",
      property: this.settings.property,
      ...(impersonator && { impersonator: impersonator.publicId }),
      ...event,
    });
  }

  /** @throws {SessionError} `ERR_SESSION_NOT_LOADED` if the request's tokens have not been examined. */
  mustBeLoaded(): void {
    const state = this.#state;
    if (state.status === "unknown") throw notLoadedError(this.settings.property);
    if (state.status !== "live" || !this.settings.ownEnds.hasEnded(state.stored)) return;
    this.wasEnded(state.stored.publicId);
  }

  /** The app has ended a session through its manager, in this request: if its own, as after `destroy`. */
  wasEnded(publicId: string): void {
    if (this.publicId !== publicId || this.departure === undefined) return;
    this.draft.clear();
    this.become(ANONYMOUS);
    if (this.departure.isClosed) return;
    this.departure.register();
    this.clearId();
  }

  /** @throws {SessionError} as `mustBeLoaded`, and `ERR_SESSION_DECODE` if the record can't be read. */
  mustBeReadable(): void {
    this.mustBeLoaded();
    if (this.damaged) throw this.damaged.error;
  }

  /** Commits to a stored session. A session that its id carries is sent after every commit. */
  commitTo(
    stored: StoredSession,
    change: Changes,
    renewTo?: Id,
    isLast = false,
    onLate?: () => void,
  ): Awaitable<CommitResult> {
    const result = stored.commit(change, renewTo, isLast, onLate);
    if (this.settings.store.carriesData) this.sendId();
    return result;
  }

  /** Has the id sent to the client when the head leaves. */
  sendId(): void {
    this.departure?.announceId();
  }

  /** Has the client's copy of the id cleared when the head leaves. */
  clearId(): void {
    this.departure?.announceEnd();
  }

  /** Somebody else has ended the session: nothing of this request may bring it back. */
  losesToEnd(): SessionError {
    this.become(GONE, "gone");
    this.draft.clear();
    return goneError();
  }

  /** Somebody else has renewed the session, and it accepts no write by the old id. */
  losesToRenewal(former: StoredSession): void {
    this.#reportDrop();
    this.become({ status: "renewed", former });
    this.draft.clear();
  }

  /** Drops what was set by an id that somebody else has renewed. */
  dropDraft(): void {
    this.#reportDrop();
    this.draft.clear();
  }

  refusesRenewed(): SessionError {
    this.#reportDrop();
    return renewedError();
  }

  #reportDrop(): void {
    if (this.#hasReportedDrop) return;
    this.#hasReportedDrop = true;
    const { publicId } = this;
    this.emit("dropped", publicId === undefined ? {} : { publicId });
  }
}

function storedIn(state: State): StoredSession | undefined {
  if (state.status === "live") return state.stored;
  return state.status === "renewed" ? state.former : undefined;
}
