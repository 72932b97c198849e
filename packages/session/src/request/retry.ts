import { setTimeout as wait } from "node:timers/promises";
import { SessionError } from "../errors.ts";

/** The number of attempts at a change while others commit in between. */
const TRIES = 16;

/** The result of an attempt that met a conflict. */
export const CONFLICT: unique symbol = Symbol("conflict");

/**
 * Attempts until the result is no {@link CONFLICT}, 16 times at most.
 *
 * The waits are random, so that those who collided don't collide again, and longer the more often they
 * did. Every other attempt goes at once, with the record that the conflict brought: a wait would make
 * it stale.
 *
 * @throws {SessionError} `ERR_SESSION_CONFLICT` after the last conflict.
 */
export async function retry<T>(
  attempt: (tries: number) => T | typeof CONFLICT | Promise<T | typeof CONFLICT>,
): Promise<T> {
  for (let tries = 0; tries < TRIES; tries++) {
    const result = await attempt(tries);
    if (result !== CONFLICT) return result;
    if (tries % 2 === 1) await wait(Math.random() * 2 ** Math.min(tries, 8));
  }
  throw new SessionError(
    "ERR_SESSION_CONFLICT",
    `others changed the session ${TRIES} times in a row: try again`,
    { status: 503, expose: true },
  );
}
