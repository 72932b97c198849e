import { DEVICE, type DeviceSummary, deviceIn, LABEL, labelOf } from "../devices/device.ts";
import { type DestroyAllOptions, type IndexedStore, mustBeIndexed } from "../indexed-store.ts";
import type { Impersonator } from "../request/acting-owner.ts";
import { decode, encode } from "../request/codec.ts";
import { USER } from "../request/draft.ts";
import { BEHIND, impersonatorIn } from "../request/impersonation.ts";
import { CONFLICT, retry } from "../request/retry.ts";
import { isUserId } from "../request/user.ts";
import { type Awaitable, type Ended, expiresAt, type SessionRecord, type Store } from "../store.ts";
import { undamaged } from "../stores/undamaged.ts";
import type { CallStore } from "./call-store.ts";
import type { Ends } from "./ends.ts";

/** Names whose sessions are meant: those of a user, as given to `login`, or of any other owner. */
export type SessionOwner = { readonly user: string } | { readonly owner: string };

/** A session in a list: what may be shown to its user, and no secret. */
export interface SessionSummary extends DeviceSummary {
  /** The public id of the session. It opens nothing. */
  readonly publicId: string;
  /** The signed-in user. */
  readonly userId: string | undefined;
  /** All owners: users, clients, and others that the app has added. */
  readonly owners: ReadonlySet<string>;
  /** Who acts for the user by it; `undefined` if the user does. */
  readonly impersonator: Impersonator | undefined;
  /** Whether it is bound to a key of its device, by `@lanai/session-bound`. */
  readonly isBound: boolean;
  /** The time at which the session was created. */
  readonly createdAt: Date;
  /** The time at which the session was used last, to a tenth of its idle time. */
  readonly seenAt: Date;
  /** The time at which the session ends if it isn't used until then. */
  readonly expiresAt: Date;
}

/** The parts of the manager by which sessions are found and ended. */
export interface SessionEnding {
  readonly store: Store;
  readonly callStore: CallStore;
  readonly operation: () => string;
  readonly ends: Ends;
  /** Called with each session that was ended, before that is reported. */
  readonly onEnded: (publicId: string) => void;
}

/** A call that ends sessions of an owner. */
interface OwnerEndCall {
  readonly owner: string;
  /** The same for every repetition of the call. */
  readonly name: string;
  /** Whether the call ends the session with this public id. */
  readonly ends: (publicId: string) => boolean;
  readonly make: (index: IndexedStore, operation: string) => Awaitable<readonly Ended[]>;
}

/** The entry of a session that `@lanai/session-bound` has bound: its `BOUND_ENTRY`. */
const BOUND = "bound:device";

/** The entries that a list shows. */
export const SHOWN: ReadonlySet<string> = new Set([USER, BEHIND, DEVICE, LABEL, BOUND]);

/** One operation of a call, with all its repetitions. */
interface Attempt {
  readonly operation: string;
  /** The sessions whose end was reported: a result may come late, and again to a repetition. */
  readonly reported: Set<string>;
}

/** The number of calls whose failed attempts are remembered. */
const MAX_FAILED = 1_000;

/**
 * Finds and ends the sessions of an owner.
 *
 * If an end has failed, the next call for the same sessions repeats its operation, so that an end
 * whose result was lost is reported.
 */
export class OwnedSessions {
  readonly #manager: SessionEnding;
  /** The attempts that failed, by the names of their calls. Two at once may both fail. */
  readonly #failed = new Map<string, ReadonlySet<Attempt>>();

  constructor(manager: SessionEnding) {
    this.#manager = manager;
  }

  async list(of: SessionOwner): Promise<SessionSummary[]> {
    const index = this.#index();
    const records = await this.#manager.callStore(() =>
      index.list(ownerOf(of), { entries: SHOWN }),
    );
    return undamaged(records, summary);
  }

  async label(of: SessionOwner, publicId: string, label: string): Promise<boolean> {
    const text = labelOf(label);
    const index = this.#index();
    const { callStore, operation } = this.#manager;
    const change =
      text === ""
        ? { publicId, delete: new Set([LABEL]) }
        : { publicId, set: new Map([[LABEL, encode(text, LABEL)]]) };
    return retry(async () => {
      const { status } = await callStore(() =>
        index.commitByPublicId(ownerOf(of), publicId, { ...change, operation: operation() }),
      );
      return status === "conflict" ? CONFLICT : status === "saved";
    });
  }

  async destroyByPublicId(of: SessionOwner, publicId: string): Promise<boolean> {
    const owner = ownerOf(of);
    const count = await this.#end({
      owner,
      name: JSON.stringify([owner, "only", publicId]),
      ends: (it) => it === publicId,
      make: async (index, operation) => {
        const ended = await index.destroyByPublicId(owner, publicId, operation);
        return ended ? [ended] : [];
      },
    });
    return count > 0;
  }

  destroyAll(of: SessionOwner, except: string | undefined): Promise<number> {
    const owner = ownerOf(of);
    return this.#end({
      owner,
      name: JSON.stringify([owner, "except", except]),
      ends: (it) => it !== except,
      make: (index, operation) => {
        const options: DestroyAllOptions =
          except === undefined ? { operation } : { operation, except };
        return index.destroyAll(owner, options);
      },
    });
  }

  async #end(call: OwnerEndCall): Promise<number> {
    const { callStore, operation, ends, onEnded } = this.#manager;
    const index = this.#index();
    if (ends.isAsked) {
      // Sessions that come while this runs are ended, too.
      const records = await callStore(() => index.list(call.owner));
      for (const record of records) if (call.ends(record.publicId)) await ends.beforeEnd(record);
    }
    const former = this.#failed.get(call.name) ?? [];
    const next: Attempt = { operation: operation(), reported: new Set() };
    const ended = new Set<string>();
    for (const attempt of [...former, next]) {
      for (const one of await this.#endOnce(call, index, attempt)) {
        ended.add(one.publicId);
        onEnded(one.publicId);
        await this.#report(attempt, one);
      }
    }
    // Not before: if an attempt after it fails, the next call counts what this one has ended.
    for (const attempt of former) this.#forgetFailed(call.name, attempt);
    return ended.size;
  }

  async #endOnce(
    call: OwnerEndCall,
    index: IndexedStore,
    attempt: Attempt,
  ): Promise<readonly Ended[]> {
    const { callStore } = this.#manager;
    const reportLate = (all: readonly Ended[]): void => {
      for (const one of all) void this.#report(attempt, one);
    };
    try {
      return await callStore(() => call.make(index, attempt.operation), reportLate);
    } catch (error) {
      this.#rememberFailed(call.name, attempt);
      throw error;
    }
  }

  async #report({ reported }: Attempt, ended: Ended): Promise<void> {
    if (reported.has(ended.publicId)) return;
    reported.add(ended.publicId);
    await this.#manager.ends.report(ended, "destroyed");
  }

  #rememberFailed(name: string, attempt: Attempt): void {
    const [oldest] = this.#failed.keys();
    if (this.#failed.size >= MAX_FAILED && oldest !== undefined) this.#failed.delete(oldest);
    this.#failed.set(name, new Set(this.#failed.get(name)).add(attempt));
  }

  #forgetFailed(name: string, attempt: Attempt): void {
    const left = new Set(this.#failed.get(name));
    if (!left.delete(attempt)) return;
    if (left.size > 0) this.#failed.set(name, left);
    else this.#failed.delete(name);
  }

  #index(): IndexedStore {
    return mustBeIndexed(this.#manager.store);
  }
}

function ownerOf(of: SessionOwner): string {
  return "user" in of ? `user:${of.user}` : of.owner;
}

/** @throws {SessionError} `ERR_SESSION_DECODE` if it can't be read whose session it is. */
export function summary(record: SessionRecord): SessionSummary {
  const { publicId, owners, createdAt, seenAt, values } = record;
  const user = values.get(USER);
  const userId = user === undefined ? undefined : decode(user, USER);
  const behind = impersonatorIn(values);
  const shown: SessionSummary = {
    publicId,
    owners,
    impersonator: behind && { userId: behind.userId, publicId: behind.publicId },
    userId: isUserId(userId) ? userId : undefined,
    ...deviceIn(values),
    isBound: values.has(BOUND),
    createdAt: new Date(createdAt),
    seenAt: new Date(seenAt),
    expiresAt: new Date(expiresAt(record)),
  };
  // JSON has no sets.
  const toJSON = () => ({ ...shown, owners: [...owners] });
  return Object.defineProperty(shown, "toJSON", { value: toJSON });
}
