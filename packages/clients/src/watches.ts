import type { Sessions } from "@lanai/session";
import type { EndReason } from "./end-reason.ts";
import type { LocalListener } from "./listener.ts";

export interface WatchesOptions {
  readonly sessions: Pick<Sessions, "open" | "list">;
  /** A session is looked at this often at least, in milliseconds. */
  readonly interval: number;
  /** For how long the store may be away until listeners end, in milliseconds. */
  readonly staleLimit: number;
}

/** A session that listeners of this process hang on, under one id. */
interface Watch {
  readonly id: string;
  readonly publicId: string;
  readonly listeners: Set<LocalListener>;
  timer: NodeJS.Timeout | undefined;
  /** When the store began to fail. */
  failingSince: number | undefined;
  checking: Promise<boolean> | undefined;
  /** Asked for while one was under way, which may have read the store too early. */
  next: Promise<boolean> | undefined;
}

/** How near its end a session is looked at again, in milliseconds. */
const SOONEST = 250;
/** Sessions asked for at a time when all are looked at. */
const AT_ONCE = 32;

/** By what a session can be found and ended whose public id alone is known. */
export const sessionOwner = (publicId: string): string => `session:${publicId}`;
export const clientOwner = (id: string): string => `client:${id}`;

/** A session that is carried from browser to browser doesn't grow for ever. */
const MAX_CLIENTS = 8;

/** The owners that these clients are to become, beside those that a session has. */
export function newClients(owners: ReadonlySet<string>, clients: Iterable<string>): string[] {
  const known = [...owners].filter((it) => it.startsWith(clientOwner(""))).length;
  const missing = Array.from(clients, clientOwner).filter((it) => !owners.has(it));
  return missing.slice(0, Math.max(MAX_CLIENTS - known, 0));
}

/**
 * Looks whether the sessions of listeners still live: when one is attached, at intervals, at their
 * end, and whenever something may have been missed. A session that is gone ends its listeners,
 * whoever ended it; one that lives is kept from idling out.
 */
export class Watches {
  readonly #options: WatchesOptions;
  readonly #watches = new Map<string, Watch>();
  /** The same by public id: a renewed session has two for a moment. */
  readonly #byPublicId = new Map<string, Set<Watch>>();

  constructor(options: WatchesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#watches.size + this.#byPublicId.size;
  }

  /** From now on the listener ends with the session. Resolves when that was looked at. */
  async add(listener: LocalListener, id: string, publicId: string): Promise<void> {
    const watch = this.#watches.get(id) ?? this.#begin(id, publicId);
    watch.listeners.add(listener);
    // A store that fails now has never said that the session lives.
    if (!(await this.#check(watch))) listener.end("unavailable");
  }

  delete(listener: LocalListener, id: string): void {
    const watch = this.#watches.get(id);
    if (!watch?.listeners.delete(listener) || watch.listeners.size > 0) return;
    clearTimeout(watch.timer);
    this.#watches.delete(id);
    const same = this.#byPublicId.get(watch.publicId);
    same?.delete(watch);
    if (same?.size === 0) this.#byPublicId.delete(watch.publicId);
  }

  #begin(id: string, publicId: string): Watch {
    const watch: Watch = {
      ...{ id, publicId, listeners: new Set(), timer: undefined },
      ...{ failingSince: undefined, checking: undefined, next: undefined },
    };
    this.#watches.set(id, watch);
    const same = this.#byPublicId.get(publicId) ?? new Set();
    this.#byPublicId.set(publicId, same.add(watch));
    return watch;
  }

  /** Looks at all that hang on a session, under whichever id. */
  async look(publicId: string): Promise<void> {
    const found = this.#byPublicId.get(publicId) ?? [];
    await Promise.all(Array.from(found, (watch) => this.#check(watch)));
  }

  async lookAtAll(): Promise<void> {
    const watches = [...this.#watches.values()];
    const work = async () => {
      for (let watch = watches.pop(); watch; watch = watches.pop()) await this.#check(watch);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  /** @returns Whether the store answered. */
  #check(watch: Watch): Promise<boolean> {
    if (watch.checking === undefined) {
      watch.checking = this.#look(watch).finally(() => {
        watch.checking = undefined;
      });
      return watch.checking;
    }
    watch.next ??= watch.checking.then(() => {
      watch.next = undefined;
      return this.#check(watch);
    });
    return watch.next;
  }

  async #look(watch: Watch): Promise<boolean> {
    clearTimeout(watch.timer);
    if (watch.listeners.size === 0) return true;
    try {
      const endsIn = await this.#endsIn(watch);
      watch.failingSince = undefined;
      if (endsIn === undefined) this.#endAll(watch, await this.#why(watch));
      else this.#lookLater(watch, Math.max(endsIn / 2, SOONEST));
      return true;
    } catch {
      // Told by the session manager, as an event.
      const now = Date.now();
      watch.failingSince ??= now;
      if (now - watch.failingSince >= this.#options.staleLimit) this.#endAll(watch, "unavailable");
      else this.#lookLater(watch, Math.min(5_000, this.#options.staleLimit / 4));
      return false;
    }
  }

  /** In how many milliseconds the session ends if nobody uses it; `undefined`: it is gone. */
  async #endsIn(watch: Watch): Promise<number | undefined> {
    const session = await this.#options.sessions.open(watch.id);
    if (session === undefined) return undefined;
    const listeners = [...watch.listeners];
    const clients = new Set(listeners.flatMap(({ client }) => client ?? []));
    const missing = newClients(session.owners, clients);
    if (!session.owners.has(sessionOwner(watch.publicId)))
      missing.push(sessionOwner(watch.publicId));
    for (const owner of missing) session.addOwner(owner);
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

  /** A session that has moved to another id is still there, by its owner. */
  async #why({ publicId }: Watch): Promise<EndReason> {
    try {
      const found = await this.#options.sessions.list({ owner: sessionOwner(publicId) });
      return found.length > 0 ? "renewed" : "terminated";
    } catch (error) {
      if ((error as { code?: unknown }).code === "ERR_SESSION_NOT_INDEXED") return "terminated";
      throw error;
    }
  }

  #endAll({ listeners }: Watch, reason: EndReason): void {
    for (const listener of [...listeners]) listener.end(reason);
  }

  #lookLater(watch: Watch, wait: number): void {
    if (watch.listeners.size === 0) return;
    // Not all in one moment, and never later than was promised.
    const most = this.#options.interval * (0.8 + 0.2 * Math.random());
    watch.timer = setTimeout(() => void this.#check(watch), Math.min(wait, most)).unref();
  }
}
