import type { Id } from "../id-generator.ts";
import type { Session } from "../session.ts";
import type { Key } from "../store.ts";
import { keyOf } from "../stores/session-key.ts";
import { BELONGS_TO } from "./draft.ts";
import { codeOf, sentError } from "./failures.ts";
import { bind, findImpersonator } from "./impersonation.ts";
import { ANONYMOUS, type RequestState } from "./request-state.ts";
import { StoredSession } from "./stored-session.ts";
import { endUnheld, isUnknown } from "./unheld.ts";
import type { UserLimit } from "./user-limit.ts";

/** New ids that collide are a broken generator, not bad luck. */
const ID_TRIES = 3;

/** The names of a session that is being created: the same for each attempt. */
interface Plan {
  readonly id: Id;
  readonly key: Key;
  readonly publicId: string;
  readonly operation: string;
}

/**
 * Stores the new session of a request.
 *
 * - The next `create` repeats an attempt whose outcome is unknown, under the same names, so that it makes no second
 *   session.
 * - If the request ends without knowing whether its session is stored, the session is ended: no client
 *   will ever hold its id. The same holds if it turns out to be stored later.
 */
export class Creation {
  /** The id of the session that is about to be created. */
  newId: Id | undefined = undefined;
  readonly #request: RequestState;
  readonly #limit: UserLimit;
  readonly #session: () => Session;
  #plan: Plan | undefined = undefined;

  constructor(request: RequestState, limit: UserLimit, session: () => Session) {
    this.#request = request;
    this.#limit = limit;
    this.#session = session;
  }

  /**
   * Stores a new session of what is in the draft.
   *
   * @returns Whether an earlier attempt had stored it already. The draft is then still to be saved to it.
   */
  async create(): Promise<boolean> {
    const { departure, settings, ctx } = this.#request;
    if (departure?.isTooLateForId) throw sentError();
    this.#request.become(ANONYMOUS);
    try {
      for (let idTries = 1; ; idTries++) {
        const isRepeat = this.#plan !== undefined;
        if (this.#plan === undefined) {
          const id = settings.store.carriesData ? "" : await settings.generator.generate(ctx);
          this.newId = id || undefined;
          if (idTries === 1) await settings.onSessionNew?.(this.#session(), ctx);
          const publicId = this.#request.newPublicId;
          const operation = settings.operation();
          this.#plan = { id, key: id && keyOf(id), publicId, operation };
        }
        try {
          return await this.#attempt(this.#plan, isRepeat);
        } catch (error) {
          // Anything but an outage says that nothing was stored.
          if (codeOf(error) !== "ERR_SESSION_STORE_UNAVAILABLE") this.#plan = undefined;
          if (codeOf(error) !== "ERR_SESSION_KEY_TAKEN") throw error;
          if (idTries === ID_TRIES) throw error;
        }
      }
    } finally {
      this.newId = undefined;
    }
  }

  async #attempt(plan: Plan, isRepeat: boolean): Promise<boolean> {
    const { departure, draft, settings, ctx } = this.#request;
    const { store, tracker } = settings;
    const belongsTo = tracker.tokenKind?.(ctx);
    if (belongsTo !== undefined) draft.set(BELONGS_TO, belongsTo);
    const record = draft.newRecord(plan.publicId, settings, Date.now());
    const sent = draft.sent();
    const { operation } = plan;
    const limitOwner = this.#limit.current;
    const endIfUnheld = () =>
      endUnheld(this.#request, {
        key: plan.key,
        isUnheld: () => this.#plan === plan,
        wasKnown: false,
      });
    let stored: StoredSession;
    let wasStored = false;
    departure?.beginCall();
    try {
      const key = await settings.callStore(
        () => store.create(plan.key, { ...record, operation, ...(limitOwner && { limitOwner }) }),
        // The answer comes after the deadline.
        endIfUnheld,
      );
      const id = store.carriesData ? key : plan.id;
      stored = new StoredSession(settings, { id, key, record }, 0);
      // Only the store knows which of the attempts it has stored.
      if (isRepeat) wasStored = (await stored.reload()) === "live";
    } catch (error) {
      departure?.callFailed();
      if (isUnknown(error)) endIfUnheld();
      throw error;
    }
    this.#plan = undefined;
    const { impersonatorSession } = this.#request;
    if (impersonatorSession && !(await this.#bind(stored, impersonatorSession))) return true;
    this.#request.become({ status: "live", stored }, "created");
    if (!wasStored) draft.settle(sent, record);
    return wasStored;
  }

  /**
   * Has the session of an impersonator know the one that begins. That way round, an end of the first that
   * comes at any moment is either seen here or ends the second.
   *
   * @returns `false` if the impersonator's session has ended meanwhile.
   */
  async #bind(stored: StoredSession, impersonatorSession: StoredSession): Promise<boolean> {
    const { settings } = this.#request;
    let isBound = false;
    try {
      isBound = await bind(settings, impersonatorSession, stored.publicId);
    } finally {
      if (!isBound) await Promise.resolve(stored.end().make(() => {})).catch(() => {});
    }
    if (isBound) stored.impersonator = await findImpersonator(settings, stored.record, undefined);
    this.#request.impersonatorSession = undefined;
    if (stored.impersonator) return true;
    this.#request.losesToEnd();
    return false;
  }
}
