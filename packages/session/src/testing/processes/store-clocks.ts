import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { Awaitable } from "../../store.ts";
import { randomFrom } from "../random.ts";
import { Processes } from "./processes.ts";
import type { StoreProcessesOptions } from "./store-processes.ts";
import { Visitor } from "./visitor.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** Options of `storeClocks`. */
export interface StoreClocksOptions
  extends Pick<StoreProcessesOptions, "name" | "test" | "after" | "store"> {
  /**
   * Moves the store's clock forward, which is that of a server that all processes share, as
   * `storeConformance` has it. A store that takes the time of its own process keeps this law only on one
   * machine, and has no use for this suite.
   */
  readonly advance: (ms: number) => Awaitable<void>;
}

const cases = [
  { name: "S8: a session of the app server that is right is as long-lived at the other", first: 0 },
  { name: "S8: a session of the app server that is ahead is as long-lived at the other", first: 1 },
];

/**
 * Two app servers on one store, the clock of one two minutes ahead, as tests: sessions idle out in one
 * minute, wherever they were begun and used. The processes begin with the first test, and end in `after`.
 */
export function storeClocks({ name, test, after, store: at, advance }: StoreClocksOptions): void {
  const options = { seed: 1, idleTimeout: MINUTE };
  const processes = new Processes(
    at,
    [0, 2 * MINUTE].map((clockError) => ({ ...options, clockError })),
  );
  after(() => processes.stop());
  for (const { first, name: law } of cases) {
    test(`${law} (clocks apart, ${name})`, async () => {
      const { apps, store } = await processes.started();
      const visitor = new Visitor(apps, store, randomFrom(1));
      const [here, there, user] = [first, 1 - first, `user-${randomUUID()}`];
      assert.equal((await visitor.askAt(here, `/login?user=${user}`)).status, 200);
      const userAt = async (n: number) => (await visitor.askAt(n, "/read")).body.user;
      // Each read is a touch for the other server.
      for (const n of [there, here, there]) {
        await advance(50 * SECOND);
        assert.equal(await userAt(n), user, "the session has ended before its time");
      }
      await visitor.askAt(there, "/set?key=a&value=1");
      const { body } = await visitor.askAt(here, "/read");
      assert.equal(body.user, user);
      assert.equal(body.a, "1");

      await advance(50 * SECOND);
      assert.equal((await store.list(`user:${user}`)).length, 1, "it has ended before its time");
      await advance(20 * SECOND);
      assert.deepEqual(await store.list(`user:${user}`), []);
      for (const n of [here, there]) {
        assert.equal(await userAt(n), null, "the session lives on after its time");
      }
    });
  }
}
