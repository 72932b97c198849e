import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createPubSub, memoryPubSub, type PubSubError } from "@lanai/pubsub";
import { describe, expect, test } from "vitest";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const heap = (): number => {
  collect();
  return process.memoryUsage().heapUsed;
};

/** 20 MB in all, in messages that nobody else holds. */
const COUNT = 10_000;
const text = (n: number): string => JSON.stringify(String(n).padEnd(2_000));

describe("P7: one that never reads, beside 100 that do", () => {
  test.each(["close", "drop-oldest"] as const)(
    "delays none of them, meets its policy (%s), and holds no more than its queue",
    async (overflow) => {
      const backend = memoryPubSub();
      const counts = Array.from({ length: 100 }, () => 0);
      for (const i of counts.keys()) {
        await backend.subscribe("x", () => {
          counts[i] = (counts[i] ?? 0) + 1;
        });
      }
      const errors: PubSubError[] = [];
      let taken = 0;
      const stuck = await backend.subscribe(
        "x",
        () => {
          taken += 1;
          return new Promise(() => {});
        },
        { queue: { limit: 500, overflow }, onError: (error) => errors.push(error) },
      );
      const before = heap();
      let most = 0;
      for (let n = 1; n <= COUNT; n++) {
        await backend.publish("x", text(n));
        // In-process, whoever keeps up has it when the publish resolves.
        if (counts.some((count) => count !== n)) expect.fail(`someone waits for number ${n}`);
        if (n % 2000 === 0) most = Math.max(most, heap() - before);
      }
      expect(most).toBeLessThan(500 * 2_000 + 3 * 2 ** 20);
      expect(taken).toBe(1);
      expect(stuck.status).toBe(overflow === "close" ? "closed" : "live");
      expect(errors.map(({ code }) => code)).toEqual(
        overflow === "close" ? ["ERR_PUBSUB_SLOW"] : [],
      );
    },
  );

  test("an iterator that nobody asks is closed, and says so to who asks at last", async () => {
    const bus = createPubSub();
    const events = bus.events("x");
    for (let n = 0; n < 3000; n++) await bus.publish("x", n);
    expect((await events.next()).value).toMatchObject({ data: 0 });
    await expect(events.next()).rejects.toMatchObject({ code: "ERR_PUBSUB_SLOW" });
  });
});
