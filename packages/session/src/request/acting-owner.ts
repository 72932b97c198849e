/** Who acts for the user of a session. */
export interface Impersonator {
  /** The user who has called `impersonate`. */
  readonly userId: string;
  /** The public id of their own session. */
  readonly publicId: string;
}

/** Options of `session.impersonate`. */
export interface ImpersonateOptions {
  /**
   * The longest that the session lives, in milliseconds: from 1,000 to the manager's
   * `absoluteTimeout`. Default: 30 minutes, or `absoluteTimeout` if that is less.
   */
  readonly absoluteTimeout?: number;
}

const ACTING = "acting:";

/**
 * Returns the owner that an impersonated session shares with the session of the impersonator. As long as
 * both have it, and both live, the impersonation lasts; whoever takes it from the latter has ended it.
 *
 * @param publicId - The impersonated session's.
 * @param impersonator - The public id of the impersonator's session. Neither has a colon in it.
 */
export function actingOwner(publicId: string, impersonator: string): string {
  return `${ACTING}${publicId}:${impersonator}`;
}

/** Returns the public ids of impersonated sessions, each with that of the impersonator's, in these owners. */
function actingPairs(owners: ReadonlySet<string>): [publicId: string, impersonator: string][] {
  return [...owners]
    .filter((it) => it.startsWith(ACTING))
    .map((it) => it.slice(ACTING.length).split(":") as [string, string]);
}

/** Returns the public ids of the sessions that were begun by the session which has these owners. */
export function impersonatedBy(publicId: string, owners: ReadonlySet<string>): string[] {
  return actingPairs(owners).flatMap(([of, by]) => (by === publicId ? [of] : []));
}

/** Returns the public id of the session of whoever acts by the session which has these owners. */
export function impersonatorBehind(
  publicId: string,
  owners: ReadonlySet<string>,
): string | undefined {
  return actingPairs(owners).find(([of]) => of === publicId)?.[1];
}
