import { events } from "../events.ts";
import { actingOwner, impersonatedBy, impersonatorBehind } from "../request/acting-owner.ts";
import type { EndCall } from "../request/end-call.ts";
import { codeOf } from "../request/failures.ts";
import { retryLater } from "../request/retry-later.ts";
import type { DamagedSession, StoredSession } from "../request/stored-session.ts";
import type { Session } from "../session.ts";
import { type Awaitable, type Ended, type Key, REMEMBERED_FOR } from "../store.ts";

/** An end or a renewal of a session, as `sessions.onEnd` reports it. */
export interface SessionEnd extends Ended {
  /** `renewed`: the session lives, its old id doesn't. */
  readonly reason: "destroyed" | "renewed";
}

/** A session that is about to be destroyed. */
export interface ReleasedSession extends Ended {
  /** Its data, where it is at hand: not if the session is ended by its public id or its owner. */
  readonly session?: Session;
}

type OnRelease = (released: ReleasedSession) => Awaitable<void>;
type DestroyByPublicId = (owner: string, publicId: string) => Awaitable<Ended | undefined>;
type OnEnd = (end: SessionEnd) => Awaitable<void>;

/** An end without a result yet. */
interface Unconfirmed {
  readonly call: EndCall;
  readonly ended: Ended;
  readonly failedAt: number;
}

/** The number of keys that are remembered because an end has no result yet. */
const MAX_UNCONFIRMED = 10_000;

/**
 * Ends sessions, and reports each end once, in the process whose call has ended the session.
 *
 * If the store timed out, it may have ended the session all the same. The end is then repeated, a few
 * times in the background and by the next call that finds the session ended. The result of the repeat
 * says whether it was this call that has ended the session, or another, which reports it.
 */
export class Ends {
  readonly #property: string;
  readonly #onRelease: OnRelease | undefined;
  readonly #sessionOf: (stored: StoredSession) => Session;
  /** Ends a session of an owner in the store. */
  readonly #destroy: DestroyByPublicId;
  readonly #listeners = new Set<OnEnd>();
  /** The ends without a known outcome, by the key that named the session. */
  readonly #unconfirmed = new Map<Key, readonly Unconfirmed[]>();

  constructor(
    property: string,
    onRelease: OnRelease | undefined,
    sessionOf: (stored: StoredSession) => Session,
    destroy: DestroyByPublicId,
  ) {
    this.#destroy = destroy;
    this.#property = property;
    this.#onRelease = onRelease;
    this.#sessionOf = sessionOf;
  }

  listen(listener: OnEnd): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls the app before a session is destroyed. If that fails, the session stays. */
  async beforeEnd(ended: Ended, stored?: StoredSession): Promise<void> {
    if (!this.#onRelease) return;
    const { publicId, owners } = ended;
    await this.#onRelease({
      publicId,
      owners,
      ...(stored && { session: this.#sessionOf(stored) }),
    });
  }

  /** Whether the app wants to know before a session is destroyed. */
  get isAsked(): boolean {
    return this.#onRelease !== undefined;
  }

  /** Destroys a session; calls the app before, and reports it afterwards. */
  async end(stored: StoredSession): Promise<void> {
    const { record, key } = stored;
    await this.beforeEnd(record, stored);
    const call = stored.end(this.#unconfirmed.get(key)?.[0]?.call);
    let ended: Ended | undefined;
    try {
      ended = await this.#make(call);
    } catch (error) {
      if (!call.isReported && this.#remember(call, record)) {
        void retryLater(async () => {
          if (this.#isUnconfirmed(call)) await this.#confirm(call, await call.repeat());
        });
      }
      throw error;
    }
    if (!ended) await this.foundGone(key);
  }

  /**
   * Destroys a session that can't be read, and reports it. The app is called afterwards: whose session it
   * is turns out only when the store has ended it.
   */
  async endDamaged(damaged: DamagedSession): Promise<void> {
    const call = damaged.end();
    try {
      const ended = await this.#make(call);
      if (ended) await this.beforeEnd(ended);
    } catch (error) {
      // A store that can't end it either. It opens nothing all the same.
      if (codeOf(error) !== "ERR_SESSION_DECODE") throw error;
    }
  }

  /** Reports the end of a session that a call has found ended, if it was one without a result yet. */
  foundGone(key: Key): Awaitable<void> {
    const unconfirmed = this.#unconfirmed.get(key);
    if (unconfirmed) return this.#repeat(unconfirmed);
  }

  async #repeat(unconfirmed: readonly Unconfirmed[]): Promise<void> {
    for (const { call, ended, failedAt } of unconfirmed) {
      // The store may have forgotten the result. That the end is reported matters more than how often.
      const isForgotten = Date.now() - failedAt > REMEMBERED_FOR;
      try {
        await (isForgotten ? this.#confirm(call, ended) : this.#make(call));
      } catch {
        // The outage was reported by the call that failed. A later one finds the session ended again.
      }
    }
  }

  /** Makes the call of an end, which may be a repeat, and reports what it has ended. */
  async #make(call: EndCall): Promise<Ended | undefined> {
    const ended = await call.make((late) => void this.#confirm(call, late));
    await this.#confirm(call, ended);
    return ended;
  }

  /** Takes the result of an end, however often it comes. */
  async #confirm(call: EndCall, ended: Ended | undefined): Promise<void> {
    this.#forget(call);
    if (!ended || call.isReported) return;
    call.isReported = true;
    await this.report(ended, "destroyed");
  }

  /** Ends a session by its public id, and reports it. */
  async endByPublicId(owner: string, publicId: string): Promise<void> {
    const ended = await this.#destroy(owner, publicId);
    if (ended) await this.report(ended, "destroyed");
  }

  /**
   * Ends a session whose impersonator's session has ended. If that fails, it is reported as an outage, and
   * nobody suffers: the session opens nothing any more.
   */
  async endImpersonated(publicId: string, impersonator: string): Promise<void> {
    await this.endByPublicId(actingOwner(publicId, impersonator), publicId).catch(() => {});
  }

  async report({ publicId, owners }: Ended, reason: SessionEnd["reason"]): Promise<void> {
    if (reason === "destroyed") {
      const impersonator = impersonatorBehind(publicId, owners);
      events.emit("destroyed", {
        ...{ level: "info", property: this.#property, publicId },
        ...(impersonator !== undefined && { impersonator }),
      });
    }
    for (const listener of this.#listeners) {
      try {
        await listener({ publicId, owners, reason });
      } catch (error) {
        process.emitWarning(`a listener of sessions.onEnd failed: ${error}`);
      }
    }
    if (reason !== "destroyed") return;
    for (const other of impersonatedBy(publicId, owners))
      await this.endImpersonated(other, publicId);
  }

  /** @returns Whether the call wasn't remembered before. */
  #remember(call: EndCall, { publicId, owners }: Ended): boolean {
    if (this.#isUnconfirmed(call)) return false;
    const [oldest] = this.#unconfirmed.keys();
    if (this.#unconfirmed.size >= MAX_UNCONFIRMED && oldest !== undefined) {
      this.#unconfirmed.delete(oldest);
    }
    const others = this.#unconfirmed.get(call.key) ?? [];
    const one = { call, ended: { publicId, owners }, failedAt: Date.now() };
    this.#unconfirmed.set(call.key, [...others, one]);
    return true;
  }

  #isUnconfirmed(call: EndCall): boolean {
    return this.#unconfirmed.get(call.key)?.some((it) => it.call === call) ?? false;
  }

  #forget(call: EndCall): void {
    const others = this.#unconfirmed.get(call.key)?.filter((it) => it.call !== call);
    if (others === undefined) return;
    if (others.length > 0) this.#unconfirmed.set(call.key, others);
    else this.#unconfirmed.delete(call.key);
  }
}
