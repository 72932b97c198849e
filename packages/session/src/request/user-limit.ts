import type { Ends } from "../manager/ends.ts";
import type { Ended, OwnerLimit } from "../store.ts";
import { USER } from "./draft.ts";
import type { RequestState } from "./request-state.ts";
import { isUserId, userOwner } from "./user.ts";

/** The limit of sessions per user, for the commits of one request that sign a user in. */
export class UserLimit {
  readonly #request: RequestState;
  readonly #reports: Reports = { last: undefined };

  constructor(request: RequestState) {
    this.#request = request;
  }

  /** The report of the sessions that ended because the user has too many. */
  get reporting(): Promise<unknown> | undefined {
    return this.#reports.last;
  }

  /** Returns how many sessions the user who signs in may have; those that end for it are reported. */
  get current(): OwnerLimit | undefined {
    const { draft, settings } = this.#request;
    const { maxSessionsPerUser, ends } = settings;
    // Whoever acts for a user ends none of the user's own sessions.
    if (this.#request.impersonatorSession) return undefined;
    const userId = draft.renewal === "login" ? draft.read(USER, undefined) : undefined;
    if (!isUserId(userId) || maxSessionsPerUser === undefined) return undefined;
    const onEnded = reporter(ends, this.#reports);
    return { ...maxSessionsPerUser, owner: userOwner(userId), onEnded };
  }
}

interface Reports {
  last: Promise<unknown> | undefined;
}

/** A function of its own: a store may keep it for a while, and it keeps nothing of the request. */
const reporter =
  (ends: Ends, reports: Reports) =>
  (ended: readonly Ended[]): void => {
    reports.last = Promise.all(ended.map((one) => ends.report(one, "destroyed")));
  };
