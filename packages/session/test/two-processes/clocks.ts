import type { Awaitable, IndexedStore } from "@lanai/session";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Browser } from "../http.ts";
import { type Node, startNode, stopNode } from "./node.ts";
import { openStoreAt, type StoreAt } from "./store-at.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;

export interface ClocksApartOptions {
  /** The store's name, for the tests' names. */
  readonly name: string;
  /** Makes the backend ready; asked once, before the first test. */
  readonly prepare: () => Awaitable<StoreAt>;
  /** Moves the store's clock forward. */
  readonly advance: (ms: number) => Awaitable<void>;
}

/** Two app servers on one store, the clock of one two minutes ahead; sessions idle out in one. */
export function clocksApart({ name, prepare, advance }: ClocksApartOptions): void {
  describe(`two app servers whose clocks are two minutes apart (${name})`, () => {
    const nodes: Node[] = [];
    let store: IndexedStore;

    beforeAll(async () => {
      const at = await prepare();
      store = await openStoreAt(at);
      const options = { at, seed: 1, idleTimeout: MINUTE };
      const started = [0, 2 * MINUTE].map((clockError) => startNode({ ...options, clockError }));
      nodes.push(...(await Promise.all(started)));
    }, MINUTE);

    afterAll(async () => {
      for (const node of nodes) await stopNode(node);
      await store?.close?.();
    }, MINUTE);

    /** The same browser at each of the servers. */
    const visitors = (first: number) => {
      const at = (n: number) => new Browser((nodes[n] as Node).url);
      return { here: at(first), there: at(1 - first) };
    };
    const share = (from: Browser, to: Browser) => {
      for (const [cookie, value] of from.cookies) to.cookies.set(cookie, value);
    };
    const userOf = async (browser: Browser) => {
      const { user } = (await (await browser.get("/read")).json()) as { user: string | null };
      return user;
    };

    test.each([
      { first: 0, which: "that is right" },
      { first: 1, which: "that is ahead" },
    ])("S8: a session of the one $which is as long-lived at the other", async ({ first }) => {
      const user = `user-${first}`;
      const { here, there } = visitors(first);
      expect((await here.get(`/login?user=${user}`)).status).toBe(200);
      share(here, there);
      expect(await userOf(there)).toBe(user);
      // Each read is a touch for the other server.
      for (const browser of [there, here, there]) {
        await advance(50 * SECOND);
        expect(await userOf(browser)).toBe(user);
      }
      await there.get("/set?key=a&value=1");
      expect(await (await here.get("/read")).json()).toMatchObject({ user, a: "1" });

      await advance(50 * SECOND);
      expect(await store.list(`user:${user}`)).toHaveLength(1);
      await advance(20 * SECOND);
      expect(await store.list(`user:${user}`)).toEqual([]);
      for (const browser of [here, there]) expect(await userOf(browser)).toBe(null);
    });
  });
}
