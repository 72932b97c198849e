import { randomInt } from "node:crypto";
import type { Awaitable } from "../store.ts";
import { type Case, type Limit, type OpenedStore, Place } from "./store/case.ts";
import { concurrency } from "./store/concurrency.ts";
import { endings } from "./store/endings.ts";
import { expiry } from "./store/expiry.ts";
import { limits as proofs } from "./store/limits.ts";
import { model } from "./store/model.ts";
import { owners } from "./store/owners.ts";
import { records } from "./store/records.ts";
import { renewal } from "./store/renewal.ts";
import { repeats } from "./store/repeats.ts";

export type { Limit as StoreLimit, OpenedStore } from "./store/case.ts";

export interface StoreConformanceOptions {
  /** The store's name, for the tests' names. */
  readonly name: string;
  /** The runner's function: `test` of Vitest or `node:test`, `it` of Mocha. */
  readonly test: (name: string, fn: () => Promise<void>) => unknown;
  /**
   * Opens the store for one case; the suite closes it. Cases use names of their own, so that they
   * may share a database.
   */
  readonly open: () => Awaitable<OpenedStore>;
  /**
   * What the store can't do. In place of a law's tests runs a test that the limit is really there,
   * so that a limit is never claimed for longer than it lasts.
   *
   * - `index`: find sessions by owner.
   * - `revoke`: end a session; its key opens it until it expires.
   * - `final`: hold a logout against a writer that has begun before.
   * - `merge`: keep concurrent commits of different entries.
   * - `once`: let one of several concurrent commits with the same expectation through.
   * - `renewed`: know the old key of a renewed session.
   * - `taken`: refuse a key in use.
   * - `repeat`: know an operation that is sent again.
   * - `large`: keep a session of 100 KB.
   * - `forever`: keep a session without an absolute end.
   *
   * Default: none.
   */
  readonly limits?: readonly Limit[];
  /** For the random operations: repeats a failure, whose message tells it. Default: a random one. */
  readonly seed?: number;
}

const laws: readonly Case[] = [
  ...records,
  ...concurrency,
  ...endings,
  ...renewal,
  ...expiry,
  ...owners,
  ...repeats,
  ...model,
];

/**
 * The laws that every store keeps, as tests. Calls come by two handles, in chosen orders or, where a
 * law speaks of rivals, all at once; time is moved by `advance`: nothing sleeps.
 *
 * @throws TypeError for a limit that there isn't.
 */
export const storeConformance = (options: StoreConformanceOptions): void => {
  const { name: store, test, open, limits = [], seed = randomInt(2 ** 32) } = options;
  for (const limit of limits) {
    if (!Object.hasOwn(proofs, limit)) {
      throw new TypeError(
        `storeConformance: there is no limit "${limit}": there are ${Object.keys(proofs).join(", ")}`,
      );
    }
  }
  const due = laws.filter(({ excused }) => !excused.some((limit) => limits.includes(limit)));
  for (const { name, run } of [...due, ...limits.map((limit) => proofs[limit])]) {
    test(`${name} (${store})`, async () => {
      const opened = await open();
      try {
        await run(new Place(opened, limits, seed));
      } finally {
        await opened.close?.();
      }
    });
  }
};
