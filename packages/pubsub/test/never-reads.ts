import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Gap, Payload, PubSub, PubSubError } from "@lanai/pubsub";
import { bytesOf, textOf } from "@lanai/pubsub/backend";
import { expect } from "vitest";
import { until } from "./until.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const memory = async (): Promise<number> => {
  collect();
  // What buffers hold is given back a turn later.
  await new Promise(setImmediate);
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

const COUNT = 4_000;
const LIMIT = 100;
/** 32 MB in all. */
const text = (n: number): string => String(n).padEnd(8_000);
/** What it says, without reading all of it: a hundred do. */
const numberOf = (data: Payload): number => Number(textOf(bytesOf(data).subarray(0, 8)));

/** One that never reads, on a subject of a broker, beside 100 that do. */
export const neverReads = async (
  backend: PubSub,
  subject: string,
  overflow: "close" | "drop-oldest",
): Promise<void> => {
  const counts = Array.from({ length: 100 }, () => 0);
  const failures: unknown[] = [];
  const others = await Promise.all(
    counts.map((_, i) =>
      backend.subscribe(
        subject,
        ({ data }) => {
          counts[i] = (counts[i] ?? 0) + 1;
          if (numberOf(data) !== counts[i]) failures.push("not in order");
        },
        { onError: (error) => failures.push(error), onGap: (gap) => failures.push(gap) },
      ),
    ),
  );
  const { promise: stuck, resolve: release } = Promise.withResolvers<void>();
  const taken: number[] = [];
  const errors: PubSubError[] = [];
  const gaps: Gap[] = [];
  const slow = await backend.subscribe(
    subject,
    ({ data }) => {
      taken.push(numberOf(data));
      return stuck;
    },
    {
      queue: { limit: LIMIT, overflow },
      onError: (error) => errors.push(error),
      onGap: (gap) => gaps.push(gap),
    },
  );
  const before = await memory();
  let most = 0;
  for (let n = 0; n < COUNT; n += 100) {
    const batch = Array.from({ length: 100 }, (_, i) => text(n + i + 1));
    await Promise.all(batch.map((it) => backend.publish(subject, it)));
    await until("the others have all of it", () => counts.every((count) => count === n + 100));
    if (n % 1_000 === 900) most = Math.max(most, (await memory()) - before);
  }
  expect(failures).toEqual([]);
  // What waits may hold on to what else came with it.
  expect(most).toBeLessThan(6 * 2 ** 20);
  expect(taken).toEqual([1]);
  if (overflow === "close") {
    await slow.closed;
    await until("it is told", () => errors.length > 0);
    expect(errors.map(({ code }) => code)).toEqual(["ERR_PUBSUB_SLOW"]);
    expect(gaps).toEqual([]);
  } else {
    release();
    await until("it goes on", () => taken.at(-1) === COUNT);
    expect(taken.slice(1)).toEqual(Array.from({ length: LIMIT }, (_, i) => COUNT - LIMIT + 1 + i));
    expect(gaps).toEqual([{ subject, reason: "overflow", count: COUNT - LIMIT - 1 }]);
    expect(errors).toEqual([]);
  }
  await Promise.all([...others, slow].map((it) => it.unsubscribe()));
};
