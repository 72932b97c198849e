import type { ExtendableContext } from "koa";
import { setDevice, setLabel } from "../devices/signed-in-device.ts";
import type { Id } from "../id-generator.ts";
import { isPromise } from "../manager/call-store.ts";
import type { SessionSettings } from "../manager/settings.ts";
import { Session } from "../session.ts";
import type { SessionImplementation } from "../session-implementation.ts";
import type { Awaitable, SessionRecord } from "../store.ts";
import type { Refusal } from "../tracker.ts";
import {
  authenticatedAt,
  beginImpersonation,
  forgetImpersonation,
  impersonatorOf,
  methodsIn,
  signedInUser,
  signInFirst,
  stopImpersonation,
} from "./acting.ts";
import type { ImpersonateOptions, Impersonator } from "./acting-owner.ts";
import { pop, update } from "./atomic.ts";
import { checkDestroy, clearSiteData, type DestroyOptions } from "./clear-site-data.ts";
import { Departure } from "./departure.ts";
import { type Draft, type Owner, type Renewal, USER } from "./draft.ts";
import { Ending } from "./ending.ts";
import { codeOf, goneError, renewedError, sentError } from "./failures.ts";
import { impersonatedError } from "./impersonation.ts";
import { recognise } from "./recognition.ts";
import { requiredError } from "./refusal.ts";
import { ANONYMOUS, GONE, RequestState, type State, UNKNOWN } from "./request-state.ts";
import { Saving } from "./saving.ts";
import { settleOn } from "./settle-on.ts";
import { METHODS, methodsOf, type SignInOptions } from "./sign-in-methods.ts";
import type { StoredSession } from "./stored-session.ts";
import { checkUserId, isUserId, userOwner } from "./user.ts";

/**
 * The session of one request (or job): holds the order of things. The state is in the request state,
 * what was set in the draft, what is stored in the stored session, the response's side in the departure.
 * {@link Session} is what the app sees of it.
 *
 * - Explicit commits go one at a time, and after the ends that were asked for before them.
 * - Nothing is written once the response head has left.
 */
export class RequestSession implements SessionImplementation {
  readonly settings: SessionSettings;
  /** Whether the app has used the session. The response then depends on who asks. */
  accessed = false;
  /** Whether this request has signed a user in. */
  hasSignedIn = false;
  readonly #request: RequestState;
  readonly #departure: Departure | undefined;
  #session: Session | undefined = undefined;
  /** Made when they are needed first: most requests only read. */
  #saving: Saving | undefined = undefined;
  #ending: Ending | undefined = undefined;
  #giveWay: (() => boolean) | undefined = undefined;
  #loading: Promise<void> | undefined = undefined;
  #committing: Promise<void> | undefined = undefined;

  constructor(settings: SessionSettings, ctx?: ExtendableContext, stored?: StoredSession) {
    this.settings = settings;
    this.#departure = ctx && new Departure(settings.tracker, ctx, this);
    const withoutStored = ctx === undefined ? ANONYMOUS : UNKNOWN;
    const state: State = stored ? { status: "live", stored } : withoutStored;
    this.#request = new RequestState(settings, ctx, this.#departure, state);
  }

  get session(): Session {
    this.#session ??= new Session(this);
    return this.#session;
  }

  get status(): State["status"] {
    return this.#request.status;
  }

  get stored(): StoredSession | undefined {
    return this.#request.stored;
  }

  get record(): SessionRecord | undefined {
    return this.#request.record;
  }

  get id(): Id | undefined {
    return this.stored?.id ?? this.#saving?.newId;
  }

  get publicId(): string | undefined {
    const { status, record } = this.#request;
    return status === "anonymous" ? this.#request.newPublicId : record?.publicId;
  }

  /** Whether the session has an owner, by whom something that the app calls may find and end it. */
  get isOwned(): boolean {
    const { record } = this.#request;
    return record !== undefined && record.owners.size > 0;
  }

  get refusal(): Refusal | undefined {
    return this.#request.refusal;
  }

  get #draft(): Draft {
    return this.#request.draft;
  }

  get #endings(): Ending {
    this.#ending ??= new Ending(this.#request);
    return this.#ending;
  }

  // ── finding it ──

  /** Finds the session of the request; once, however often it is called. */
  load(): Awaitable<void> {
    const { ctx, status } = this.#request;
    if (status !== "unknown" || ctx === undefined) return;
    if (this.#loading !== undefined) return this.#loading;
    const tokens = this.settings.tracker.get(ctx);
    const found = isPromise(tokens)
      ? tokens.then((it) => recognise(this.settings, it, ctx))
      : recognise(this.settings, tokens, ctx);
    const done = isPromise(found)
      ? found.then((it) => settleOn(this.#request, it))
      : settleOn(this.#request, found);
    if (isPromise(done)) {
      this.#loading = done.then(() => this.#refuseIfStrict());
      return this.#loading;
    }
    this.#refuseIfStrict();
  }

  /** Finds the session of a token that came another way than with the request `ctx`. */
  async receive(ctx: ExtendableContext, text: string): Promise<boolean> {
    const tokens = await this.settings.tracker.get(ctx, text);
    const found = await recognise(this.settings, tokens, ctx);
    await settleOn(this.#request, found);
    return found.status === "live" && found.reissue;
  }

  #refuseIfStrict(): void {
    const { tracker, property } = this.settings;
    if (!tracker.strict) return;
    if (this.refusal === undefined && this.status !== "renewed") return;
    throw requiredError("the session was refused", property, tracker, this.refusal);
  }

  /** Drops what was set, and finds the session again as it is now. */
  async reload(): Promise<void> {
    await this.#ready();
    this.mustBeReadable();
    this.#draft.clear();
    forgetImpersonation(this.#request);
    const { stored } = this;
    if (stored === undefined) return;
    const status = await stored.reload();
    // Also what was decoded of the old record while it was loaded again.
    this.#draft.forgetRecord();
    if (status === "renewed") this.#request.become({ status: "renewed", former: stored });
    else if (status === "gone") this.#request.become(GONE);
  }

  // ── reading ──

  read(name: string): unknown {
    this.mustBeReadable();
    const value = this.#draft.read(name, this.record);
    // The app may change an object in place.
    if (typeof value === "object" && value !== null) this.#departure?.register();
    return value;
  }

  has(name: string): boolean {
    this.mustBeReadable();
    return this.#draft.has(name, this.record);
  }

  names(prefix: string): string[] {
    this.mustBeReadable();
    return this.#draft.names(prefix, this.record);
  }

  get userId(): string | undefined {
    const user = this.read(USER);
    return isUserId(user) ? user : undefined;
  }

  /** The time on the store's clock. */
  get now(): number {
    return this.stored?.now ?? Date.now();
  }

  get impersonator(): Impersonator | undefined {
    return impersonatorOf(this.#request);
  }

  get authenticatedAt(): number | undefined {
    return this.userId === undefined ? undefined : authenticatedAt(this.#request, this.now);
  }

  get methods(): readonly string[] {
    return this.userId === undefined ? [] : methodsIn(this.#request);
  }

  get owners(): ReadonlySet<string> {
    const { record } = this;
    return new Set([...(record?.owners ?? []), ...this.#draft.owners(record?.publicId)]);
  }

  // ── changing ──

  write(name: string, value: unknown): void {
    this.#mustTakeChanges();
    this.#draft.set(name, value);
  }

  remove(name: string): void {
    this.#mustTakeChanges();
    this.#draft.delete(name);
  }

  login(userId: string, options: SignInOptions = {}): void {
    this.#mustTakeChanges();
    checkUserId(userId);
    const methods = methodsOf("login(userId, options)", options);
    if (this.#request.impersonatorSession) throw impersonatedError();
    const before = signedInUser(this.#request);
    const isOther = before !== userId || this.impersonator;
    if (isOther && (before !== undefined || this.#request.rivals.length > 0)) {
      // What one user left, or a slow request of theirs still writes, must not be seen by the next.
      if (before !== undefined) this.#draft.removeOwner(userOwner(before));
      void this.#endings.endAll();
    }
    this.#draft.set(USER, userId);
    this.#own(userOwner(userId));
    this.#signsIn("login", methods);
  }

  reauthenticate(options: SignInOptions = {}): void {
    this.#mustTakeChanges();
    const methods = methodsOf("reauthenticate(options)", options);
    if (this.impersonator) throw impersonatedError();
    if (this.userId === undefined) throw signInFirst(this.#request);
    this.#signsIn(this.#draft.renewal === "login" ? "login" : "reauthenticate", methods);
  }

  impersonate(userId: string, options: ImpersonateOptions = {}): void {
    this.#mustTakeChanges();
    this.mustBeReadable();
    beginImpersonation(this.#request, userId, options);
    this.hasSignedIn = true;
  }

  async stopImpersonating(): Promise<boolean> {
    await this.#ready();
    this.#mustBeWritable();
    this.mustBeReadable();
    return stopImpersonation(this.#request);
  }

  #signsIn(renewal: Renewal, methods: readonly string[]): void {
    if (methods.length > 0) this.#draft.set(METHODS, methods);
    else if (this.#draft.has(METHODS, this.record)) this.#draft.delete(METHODS);
    setDevice(this.#request);
    this.#draft.renewal = renewal;
    this.hasSignedIn = true;
  }

  labelDevice(label: string): void {
    this.#mustTakeChanges();
    setLabel(this.#request, label);
  }

  renewId(): void {
    this.#mustTakeChanges();
    this.#draft.renewal ??= "renewId";
  }

  persist(duration: number): void {
    this.#mustTakeChanges();
    if (this.impersonator) throw impersonatedError();
    this.#draft.persist(duration);
  }

  addOwner(owner: Owner): void {
    this.#mustTakeChanges();
    this.#own(owner);
  }

  #own(owner: Owner): void {
    this.#draft.addOwner(owner);
    // From now on a call that names the owner finds the session, and may end it.
    if (this.#departure) this.settings.ownEnds.enter(this);
  }

  whenTooLarge(giveWay: () => boolean): void {
    this.#giveWay = giveWay;
  }

  async pop(names: readonly string[]): Promise<Map<string, unknown>> {
    await this.#ready();
    this.#mustBeWritable();
    this.mustBeReadable();
    return pop(this.#request, names);
  }

  async update(name: string, change: (value: unknown) => unknown): Promise<unknown> {
    await this.#ready();
    this.#mustBeWritable();
    this.mustBeReadable();
    return update(this.#request, name, change);
  }

  // ── ending ──

  /** Ends the session; the request goes on with a new, anonymous one. */
  destroy(options: DestroyOptions = {}): Promise<void> {
    try {
      checkDestroy(options);
      if (this.status === "unknown") {
        this.#departure?.register();
        return this.#endings.beforeHead(this.#ready().then(() => this.destroy(options)));
      }
      this.#mustBeWritable();
    } catch (error) {
      return Promise.reject(error);
    }
    this.#draft.clear();
    forgetImpersonation(this.#request);
    this.#request.forgetNewPublicId();
    const { status } = this;
    if (status === "renewed" && this.#request.endable === undefined) {
      return this.#endings.beforeHead(Promise.reject(renewedError()));
    }
    const isNamed = status === "live" || status === "renewed" || status === "damaged";
    const hadToken = isNamed || this.refusal !== undefined;
    // Whatever the client holds opens nothing any more.
    if (hadToken) this.#request.clearId();
    const ending = this.#endings.endAll();
    const { ctx } = this.#request;
    if (options.clearSiteData === undefined || ctx === undefined) return ending;
    return this.#endings.beforeHead(ending.then(() => clearSiteData(ctx, options)));
  }

  /** The app has ended this session through its manager, in this request: as after `destroy`. */
  wasEnded(publicId: string): void {
    this.#request.wasEnded(publicId);
  }

  whenClosed(fn: () => void): void {
    this.#departure?.whenClosed(fn);
  }

  // ── storing ──

  /** Commits now, and rejects if there is nothing to commit to. */
  commit(): Promise<void> {
    const before = this.#committing;
    const committing = (async () => {
      // One at a time: each stores what those before it have left.
      await before?.catch(() => {});
      await this.#ready();
      this.#mustBeWritable();
      this.mustBeReadable();
      const { status } = this;
      const drops = status === "renewed" && this.#draft.isWorthStoring;
      await this.#saveDraft();
      if (this.status === "gone") throw goneError();
      if (this.status === "renewed" && (drops || status === "live")) throw renewedError();
      await this.#saving?.reporting;
      await this.#departure?.send();
    })();
    this.#committing = committing;
    return committing;
  }

  /** Commits what is left when the request is done. */
  finish(): Awaitable<void> {
    return this.#departure?.finish();
  }

  /** Does the same as `finish` for a request that failed with `error`. */
  async finishFailed(error: unknown): Promise<void> {
    // The store has failed, and the response says so: nothing else may come of this request.
    if (codeOf(error) === "ERR_SESSION_STORE_UNAVAILABLE") this.#departure?.abandon();
    else await this.#departure?.finishFailed();
  }

  /** Stores what is left, before the head leaves. */
  save(): Awaitable<void> {
    if (this.#committing === undefined && this.#ending === undefined) return this.#saveDraft();
    return this.#saveAfterOthers();
  }

  async #saveAfterOthers(): Promise<void> {
    await this.#committing?.catch(() => {});
    await this.#ending?.inFlight;
    await this.#saveDraft();
    await this.#saving?.reporting;
  }

  #saveDraft(): Awaitable<void> {
    this.#saving ??= new Saving(this.#request, () => this.session);
    const giveWay = this.#giveWay;
    return giveWay === undefined ? this.#saving.save() : saveWhatFits(this.#saving, giveWay);
  }

  async #ready(): Promise<void> {
    await this.load();
    await this.#ending?.inFlight;
  }

  mustBeReadable(): void {
    this.#request.mustBeReadable();
  }

  #mustTakeChanges(): void {
    this.#mustBeWritable();
    if (this.#departure?.isTooLateToSet) throw sentError();
  }

  /** Passes for a damaged session too, so that what is set before a sign-in goes into the new one. */
  #mustBeWritable(): void {
    this.#request.mustBeLoaded();
    if (this.#departure?.isClosed) throw sentError();
    this.#departure?.register();
  }
}

async function saveWhatFits(saving: Saving, giveWay: () => boolean): Promise<void> {
  for (;;) {
    try {
      return await saving.save();
    } catch (error) {
      if (codeOf(error) !== "ERR_SESSION_TOO_LARGE" || !giveWay()) throw error;
    }
  }
}
