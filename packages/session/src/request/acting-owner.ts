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

/**
 * Returns the owner that an impersonated session shares with the session of the impersonator. As long as
 * both have it, and both live, the impersonation lasts; whoever takes it from the latter has ended it.
 */
export function actingOwner(publicId: string): string {
  return `acting:${publicId}`;
}

const ACTING = actingOwner("");

/** Returns the public ids of the sessions that were begun by the session which has these owners. */
export function impersonatedBy(publicId: string, owners: ReadonlySet<string>): string[] {
  const all = [...owners]
    .filter((it) => it.startsWith(ACTING))
    .map((it) => it.slice(ACTING.length));
  return all.filter((it) => it !== publicId);
}
