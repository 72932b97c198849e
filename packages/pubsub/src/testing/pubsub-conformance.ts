import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { type Case, closeAll, type Feature, type OpenedPubSub, Place } from "./case.ts";
import { delivery } from "./delivery.ts";
import { endings } from "./endings.ts";
import { network } from "./network.ts";
import { orders } from "./orders.ts";
import { replay } from "./replay.ts";
import { reserved } from "./reserved.ts";
import { retention } from "./retention.ts";
import { streamChanges } from "./stream-changes.ts";
import { subjects } from "./subjects.ts";

export type { Feature as PubSubFeature, OpenedPubSub } from "./case.ts";

/** Options of `pubsubConformance`. */
export interface PubSubConformanceOptions {
  /** The backend's name, for the tests' names. */
  readonly name: string;
  /**
   * The runner's function: `test` of Vitest or `node:test`, `it` of Mocha. Those with a broker that
   * is restarted take up to a minute.
   */
  readonly test: (name: string, fn: () => Promise<void>) => unknown;
  /**
   * Opens the backend for one case; the suite closes it. Cases use subjects and streams of their
   * own, so that they may share a broker; but one that restarts it must not run beside others.
   */
  readonly open: () => OpenedPubSub | Promise<OpenedPubSub>;
  /**
   * The features that the backend lacks, each set to `false`. A single test that names the missing
   * feature then replaces its tests. Without `network` there is no `restart` either. Default: none is
   * missing.
   */
  readonly features?: Readonly<Partial<Record<Feature, false>>>;
  /** The seed of everything random. A failure's message names it, to repeat the run. Default: random. */
  readonly seed?: number;
}

const laws: readonly Case[] = [
  ...subjects,
  ...reserved,
  ...delivery,
  ...endings,
  ...retention,
  ...replay,
  ...streamChanges,
  ...orders,
  ...network,
];

const lacks: Readonly<Record<Feature, Case>> = {
  network: {
    name: "lacks network: one process alone, and no connection that could be lost",
    async run({ opened }) {
      assert.equal(opened.again, undefined);
      assert.equal(opened.restart, undefined);
    },
  },
  restart: {
    name: "lacks restart: what happens while the broker is away isn't shown here",
    async run({ opened }) {
      assert.equal(opened.restart, undefined);
    },
  },
};

/**
 * The laws that every backend keeps, as tests.
 *
 * @throws TypeError for a feature that there isn't.
 */
export function pubsubConformance(options: PubSubConformanceOptions): void {
  const { name: backend, test, open, features = {}, seed = randomInt(2 ** 32) } = options;
  for (const feature of Object.keys(features)) {
    if (Object.hasOwn(lacks, feature)) continue;
    throw new TypeError(
      `pubsubConformance: there is no feature "${feature}": there are ${Object.keys(lacks).join(", ")}`,
    );
  }
  const lacking = (Object.keys(lacks) as Feature[]).filter((it) => features[it] === false);
  const due = laws.filter(
    ({ needs }) =>
      needs === undefined ||
      !(lacking.includes(needs) || (needs === "restart" && lacking.includes("network"))),
  );
  for (const { name, run } of [...due, ...lacking.map((it) => lacks[it])]) {
    test(`${name} (${backend})`, async () => {
      const opened = await open();
      try {
        await run(new Place(opened, seed, async () => open()));
      } finally {
        await closeAll(opened);
      }
    });
  }
}
