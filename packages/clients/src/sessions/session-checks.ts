import { AsyncLocalStorage } from "node:async_hooks";
import { flat } from "@lanai/connection/flat";
import type { Sessions } from "@lanai/session";
import { extend } from "@lanai/session/extension";
import type { EndReason } from "../end-reason.ts";
import type { LocalListener } from "../listeners/local-listener.ts";
import { MultiMap } from "../listeners/multi-map.ts";

export interface SessionChecksOptions {
  readonly sessions: Pick<Sessions, "open" | "list">;
  /** The longest time between two checks of a session, in milliseconds. */
  readonly interval: number;
  /** The outage of the store after which listeners end, in milliseconds. */
  readonly staleLimit: number;
}

/** A session that listeners of this process belong to, under one id. */
interface CheckedSession {
  readonly id: string;
  readonly publicId: string;
  timer: NodeJS.Timeout | undefined;
  /** The time at which the store began to reject. */
  failingSince: number | undefined;
  checking: Promise<boolean> | undefined;
  /** A check that was asked for during another, which may have read the store too early. */
  next: Promise<boolean> | undefined;
}

/** The shortest time between two checks near the end of a session, in milliseconds. */
const SOONEST = 250;
/** Timers of sessions are set in steps of so many milliseconds. */
const STEP = 50;
/** The most sessions that are loaded at a time when all are checked. */
const AT_ONCE = 32;

/** Returns the owner by which a session is found whose public id alone is known. */
export const sessionOwner = (publicId: string): string => `session:${publicId}`;
export const clientOwner = (id: string): string => `client:${id}`;

/** The most browsers that a session names as its owners, however many bring its token. */
const MAX_CLIENT_OWNERS = 8;

/** Returns the owners to add to a session that these clients use. */
export function newClients(owners: ReadonlySet<string>, clients: Iterable<string>): string[] {
  const known = [...owners].filter((it) => it.startsWith(clientOwner(""))).length;
  const missing = Array.from(clients, clientOwner).filter((it) => !owners.has(it));
  return missing.slice(0, Math.max(MAX_CLIENT_OWNERS - known, 0));
}

/**
 * Checks whether the sessions of listeners live: when one is attached, at intervals, at their expected
 * end, and whenever notices may have been missed. The listeners of a session that is gone end, whoever
 * ended it; one that lives is kept from idling out.
 */
export class SessionChecks {
  readonly #options: SessionChecksOptions;
  readonly #byId = new Map<string, CheckedSession>();
  /** The same by public id. A renewed session has two for a moment. */
  readonly #byPublicId = new MultiMap<string, CheckedSession>();
  readonly #listeners = new MultiMap<CheckedSession, LocalListener>();

  constructor(options: SessionChecksOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#byId.size + this.#byPublicId.size;
  }

  /** Ends the listener with the session from here on. Resolves when the session was checked. */
  async add(listener: LocalListener, id: string, publicId: string): Promise<void> {
    const checked = this.#byId.get(id) ?? this.#begin(flat(id), publicId);
    this.#listeners.add(checked, listener);
    // A store that rejects now has never said that the session lives.
    if (!(await this.#check(checked))) listener.end("unavailable");
  }

  delete(listener: LocalListener, id: string): void {
    const checked = this.#byId.get(id);
    if (checked === undefined) return;
    this.#listeners.delete(checked, listener);
    if (this.#listeners.has(checked)) return;
    clearTimeout(checked.timer);
    this.#byId.delete(id);
    this.#byPublicId.delete(checked.publicId, checked);
  }

  #begin(id: string, publicId: string): CheckedSession {
    const checked: CheckedSession = {
      id,
      publicId,
      timer: undefined,
      failingSince: undefined,
      checking: undefined,
      next: undefined,
    };
    this.#byId.set(id, checked);
    this.#byPublicId.add(publicId, checked);
    return checked;
  }

  /** Checks a session now, under each of its ids. */
  async check(publicId: string): Promise<void> {
    const found = this.#byPublicId.get(publicId);
    await Promise.all(found.map((checked) => this.#check(checked)));
  }

  async checkAll(): Promise<void> {
    const all = [...this.#byId.values()];
    const work = async () => {
      for (let checked = all.pop(); checked; checked = all.pop()) await this.#check(checked);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  /** @returns Whether the store could be asked. */
  #check(checked: CheckedSession): Promise<boolean> {
    if (checked.checking === undefined) {
      checked.checking = this.#checkNow(checked).finally(() => {
        checked.checking = undefined;
      });
      return checked.checking;
    }
    checked.next ??= checked.checking.then(() => {
      checked.next = undefined;
      return this.#check(checked);
    });
    return checked.next;
  }

  async #checkNow(checked: CheckedSession): Promise<boolean> {
    clearTimeout(checked.timer);
    if (!this.#listeners.has(checked)) return true;
    try {
      const endsIn = await this.#endsIn(checked);
      checked.failingSince = undefined;
      if (endsIn === undefined) this.#endAll(checked, await this.#endReason(checked));
      else this.#checkLater(checked, Math.max(endsIn / 2, SOONEST));
      return true;
    } catch {
      // The session manager has emitted the error.
      const now = Date.now();
      checked.failingSince ??= now;
      if (now - checked.failingSince >= this.#options.staleLimit)
        this.#endAll(checked, "unavailable");
      else this.#checkLater(checked, Math.min(5_000, this.#options.staleLimit / 4));
      return false;
    }
  }

  /** Returns when an unused session ends, in milliseconds from now; `undefined` if it is gone. */
  async #endsIn(checked: CheckedSession): Promise<number | undefined> {
    const session = await this.#options.sessions.open(checked.id);
    if (session === undefined) return undefined;
    const listeners = this.#listeners.get(checked);
    const clients = new Set(listeners.flatMap(({ client }) => client ?? []));
    const missing = newClients(session.owners, clients);
    if (!session.owners.has(sessionOwner(checked.publicId)))
      missing.push(sessionOwner(checked.publicId));
    for (const owner of missing) extend(session).addOwner(owner);
    const isUsed = listeners.some((it) => it.keepsSession || it.wasUsed);
    for (const listener of listeners) listener.wasUsed = false;
    if (isUsed || missing.length > 0) {
      try {
        await session.commit();
      } catch (error) {
        if ((error as { code?: unknown }).code === "ERR_SESSION_GONE") return undefined;
        throw error;
      }
    }
    return (session.expiresAt?.getTime() ?? Infinity) - Date.now();
  }

  /** Distinguishes a renewed session, which is still found by its owner, from one that has ended. */
  async #endReason({ publicId }: CheckedSession): Promise<EndReason> {
    const found = await this.#options.sessions.list({ owner: sessionOwner(publicId) });
    return found.length > 0 ? "renewed" : "terminated";
  }

  #endAll(checked: CheckedSession, reason: EndReason): void {
    for (const listener of this.#listeners.get(checked)) listener.end(reason);
  }

  #checkLater(checked: CheckedSession, wait: number): void {
    if (!this.#listeners.has(checked)) return;
    // Not all in one moment, and never later than was promised.
    const most = this.#options.interval * (0.8 + 0.2 * Math.random());
    // In steps: Node keeps a list for each different time.
    const ms = Math.max(STEP, Math.floor(Math.min(wait, most) / STEP) * STEP);
    checked.timer = this.#outside(() => setTimeout(this.#checkDue, ms, checked).unref());
  }

  /** Calls a function outside the request that is under way, of which a timer would keep a part. */
  readonly #outside = AsyncLocalStorage.snapshot();

  /** One function for all timers. */
  readonly #checkDue = (checked: CheckedSession): void => void this.#check(checked);
}
