import { randomInt } from "node:crypto";
import type { Awaitable } from "../store.ts";
import { byPublicId } from "./store/by-public-id.ts";
import { type Case, type Limit, type OpenedStore, Place } from "./store/case.ts";
import { concurrency } from "./store/concurrency.ts";
import { devices } from "./store/devices.ts";
import { endings } from "./store/endings.ts";
import { expiry } from "./store/expiry.ts";
import { limits as proofs } from "./store/limits.ts";
import { model } from "./store/model.ts";
import { outages } from "./store/outages.ts";
import { ownerLimits } from "./store/owner-limits.ts";
import { owners } from "./store/owners.ts";
import { everyone } from "./store/pages.ts";
import { records } from "./store/records.ts";
import { renewal } from "./store/renewal.ts";
import { renewalOrders } from "./store/renewal-orders.ts";
import { repeats } from "./store/repeats.ts";

export type { Limit as StoreLimit, OpenedStore } from "./store/case.ts";

/** Options of `storeConformance`. */
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
   * The abilities that the store lacks. In place of a law's tests runs a test that the limit is
   * really there, so that a limit is never claimed for longer than it lasts.
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
  /**
   * The seed of the random operations, which repeats a failure; its message has it. Default: a
   * random one.
   */
  readonly seed?: number;
  /**
   * The number of orders that are tried, of the 87,500 in which two holders of one session can act,
   * one of whom renews its id (S19). An integer from 1. Default: 500, which takes a store on a
   * server a second or two.
   */
  readonly orders?: number;
}

const laws: readonly Case[] = [
  ...records,
  ...concurrency,
  ...endings,
  ...renewal,
  ...renewalOrders,
  ...expiry,
  ...owners,
  ...ownerLimits,
  ...byPublicId,
  ...devices,
  ...everyone,
  ...repeats,
  ...outages,
  ...model,
];

/**
 * The laws that every store keeps, as tests. Calls come by two handles, in chosen orders or, where a
 * law speaks of rivals, all at once; time is moved by `advance`: nothing sleeps.
 *
 * @throws TypeError for a limit that there isn't.
 */
export function storeConformance(options: StoreConformanceOptions): void {
  const { name: store, test, open, limits = [], seed = randomInt(2 ** 32) } = options;
  const { orders = 500 } = options;
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
        await run(new Place(opened, limits, seed, orders));
      } finally {
        await opened.close?.();
      }
    });
  }
}
