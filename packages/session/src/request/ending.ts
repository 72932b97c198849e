import { codeOf } from "./failures.ts";
import { ANONYMOUS, type RequestState } from "./request-state.ts";
import { DamagedSession, type StoredSession } from "./stored-session.ts";
import { userOwner } from "./user.ts";

/**
 * Ends what a request's session is, or may be. An end that failed is awaited again before the head
 * leaves, and a sign-out that is tried again repeats it.
 */
export class Ending {
  readonly #request: RequestState;
  /** Sessions whose end failed: a sign-out that is tried again ends them. */
  #unended: readonly (StoredSession | DamagedSession)[] = [];
  /** The last end. Rejects if it failed, so that an outage that nobody awaited fails the request. */
  inFlight: Promise<void> | undefined = undefined;

  constructor(request: RequestState) {
    this.#request = request;
  }

  /** Ends what there is. What this request has set stays for what comes after it. */
  endAll(): Promise<void> {
    const { endable, damaged, rivals } = this.#request;
    const own = endable ?? damaged;
    const due = [...this.#unended, ...rivals, ...(own ? [own] : [])];
    if (due.length > 0) this.#request.clearId();
    this.#request.become(ANONYMOUS);
    this.#unended = [];
    return due.length === 0 ? Promise.resolve() : this.beforeHead(this.#endEach(due));
  }

  /** Has `ending` awaited before the head leaves. That the id was renewed concerns the caller alone. */
  beforeHead(ending: Promise<void>): Promise<void> {
    this.inFlight = ending.catch((error) => {
      if (codeOf(error) !== "ERR_SESSION_RENEWED") throw error;
    });
    this.inFlight.catch(() => {});
    return ending;
  }

  /** Ends a session, and with an impersonated one that of the person who signs out. */
  async #end(stored: StoredSession | DamagedSession): Promise<void> {
    const { ends } = this.#request.settings;
    if (stored instanceof DamagedSession) return ends.endDamaged(stored);
    const { impersonator } = stored;
    await ends.end(stored);
    if (impersonator) {
      await ends.endByPublicId(userOwner(impersonator.userId), impersonator.publicId);
    }
  }

  async #endEach(due: readonly (StoredSession | DamagedSession)[]): Promise<void> {
    const ends = due.map((stored) => this.#end(stored));
    const results = await Promise.allSettled(ends);
    this.#unended = due.filter((_, n) => results[n]?.status === "rejected");
    const failed = results.find((it) => it.status === "rejected");
    if (failed) throw failed.reason;
  }
}
