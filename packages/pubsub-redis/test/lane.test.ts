import { expect, test } from "vitest";
import { Lane, type Load, type Outgoing } from "../src/lane.ts";

const publish = (lane: Lane, ms: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const deadline = performance.now() + ms;
    const message: Outgoing = {
      ...{ subject: "a", data: "1", messageId: "" },
      ...{ deadline, resolve, reject },
    };
    lane.push(message);
  });

test("a lane on which nothing goes any more is let go, and the next uses none of its names", async () => {
  const load: Load = { messages: 0, bytes: 0, batches: 0 };
  const names: string[] = [];
  const rested: number[] = [];
  for (const n of [1, 2]) {
    const { promise, resolve } = Promise.withResolvers<void>();
    const lane = new Lane(
      load,
      async (_batch, name) => void names.push(name),
      () => {
        rested.push(n);
        resolve();
      },
    );
    await publish(lane, 20);
    await publish(lane, 20);
    await promise;
  }
  expect(new Set(rested)).toEqual(new Set([1, 2]));
  expect(new Set(names).size).toBe(4);
  expect(load).toEqual({ messages: 0, bytes: 0, batches: 4 });
});

test("a lane whose last message nobody waits for any more stays until it is answered", async () => {
  const answer = Promise.withResolvers<undefined>();
  let isResting = false;
  const lane = new Lane(
    { messages: 0, bytes: 0, batches: 0 },
    () => answer.promise,
    () => {
      isResting = true;
    },
  );
  await expect(publish(lane, 10)).rejects.toMatchObject({ code: "ERR_PUBSUB_UNAVAILABLE" });
  await new Promise(setImmediate);
  expect(isResting).toBe(false);
  answer.resolve(undefined);
  await lane.idle();
  expect(isResting).toBe(true);
});
