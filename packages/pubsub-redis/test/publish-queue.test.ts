import { expect, test } from "vitest";
import {
  type Outgoing,
  PublishQueue,
  type QueueTotals,
  type Send,
  type Sent,
} from "../src/publishing/publish-queue.ts";

const newTotals = (): QueueTotals => ({ messages: 0, bytes: 0, batches: 0 });
const done: Sent = { is: "done" };

const publish = (queue: PublishQueue, ms: number, data = "1"): Promise<void> =>
  new Promise((resolve, reject) => {
    const deadline = performance.now() + ms;
    const message: Outgoing = {
      ...{ subject: "a", data, messageId: "" },
      ...{ deadline, resolve, reject },
    };
    queue.push(message);
  });

test("a queue on which nothing goes any more is let go, and the next uses none of its numbers", async () => {
  const totals = newTotals();
  const numbers: number[] = [];
  const rested: number[] = [];
  for (const n of [1, 2]) {
    const { promise, resolve } = Promise.withResolvers<void>();
    const queue = new PublishQueue({
      totals,
      opens: false,
      async send(_batch, number) {
        numbers.push(number);
        return done;
      },
      onRest() {
        rested.push(n);
        resolve();
      },
    });
    await publish(queue, 20);
    await publish(queue, 20);
    await promise;
  }
  expect(new Set(rested)).toEqual(new Set([1, 2]));
  expect(new Set(numbers).size).toBe(4);
  expect(totals).toEqual({ messages: 0, bytes: 0, batches: 4 });
});

test("a queue whose last message nobody waits for any more stays until it is answered", async () => {
  const answer = Promise.withResolvers<Sent>();
  let isResting = false;
  const queue = new PublishQueue({
    totals: newTotals(),
    opens: false,
    send: () => answer.promise,
    onRest: () => {
      isResting = true;
    },
  });
  await expect(publish(queue, 10)).rejects.toMatchObject({ code: "ERR_PUBSUB_UNAVAILABLE" });
  await new Promise(setImmediate);
  expect(isResting).toBe(false);
  answer.resolve(done);
  await queue.idle();
  expect(isResting).toBe(true);
});

/** A queue over answers that the test gives, one for each batch. */
const scripted = (answers: readonly (Sent | Error)[]) => {
  const sent: string[] = [];
  const left = [...answers];
  const send: Send = async (batch, number, floor) => {
    sent.push(`${number}>${floor}: ${batch.map(({ data }) => data).join(" ")}`);
    const answer = left.shift() ?? done;
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { sent, queue: new PublishQueue({ send, totals: newTotals(), opens: true }) };
};

test("P10: nothing is sent before Redis knows the publisher, and each batch names the last that is done", async () => {
  const { sent, queue } = scripted([]);
  await Promise.all([publish(queue, 1_000, "a"), publish(queue, 1_000, "b")]);
  await publish(queue, 1_000, "c");
  expect(sent).toEqual(["1>0: ", "2>1: a b", "3>2: c"]);
});

test("P10: a batch that Redis may have forgotten is given up as unknown, and the next begins anew", async () => {
  const { sent, queue } = scripted([done, { is: "lost" }]);
  await expect(publish(queue, 1_000, "a")).rejects.toMatchObject({
    code: "ERR_PUBSUB_UNAVAILABLE",
    message: expect.stringContaining("outcome is unknown"),
  });
  await publish(queue, 1_000, "b");
  expect(sent).toEqual(["1>0: ", "2>1: a", "3>0: ", "4>3: b"]);
});

test("P10: a batch that Redis can't have done before is sent again, behind an opening", async () => {
  const { sent, queue } = scripted([]);
  await publish(queue, 1_000, "a");
  const again = new PublishQueue({
    totals: newTotals(),
    opens: true,
    async send(batch, number, floor) {
      sent.push(`${number}>${floor}: ${batch.map(({ data }) => data).join(" ")}`);
      return number === 2 ? { is: "unsent", left: batch, isNew: true } : done;
    },
  });
  await publish(again, 1_000, "b");
  expect(sent.slice(2)).toEqual(["1>0: ", "2>1: b", "3>0: ", "4>3: b"]);
});

test("P10: behind a batch that failed, the last that is done is still the one before it", async () => {
  const { sent, queue } = scripted([done, done, new Error("lost")]);
  await publish(queue, 1_000, "a");
  await expect(publish(queue, 1_000, "b")).rejects.toThrow("outcome is unknown");
  await publish(queue, 1_000, "c");
  expect(sent).toEqual(["1>0: ", "2>1: a", "3>2: b", "4>2: c"]);
});

test("a batch that can't be opened was not sent, and its error doesn't say that the outcome is unknown", async () => {
  const { sent, queue } = scripted([Object.assign(new Error("away"), { code: "x" })]);
  await expect(publish(queue, 1_000, "a")).rejects.toThrow("away");
  expect(sent).toEqual(["1>0: "]);
});

test("a batch is sent again while the streams change, however often, and then goes", async () => {
  let tries = 0;
  const queue = new PublishQueue({
    totals: newTotals(),
    opens: false,
    async send(batch) {
      tries += 1;
      return tries < 20 ? { is: "unsent", left: batch } : done;
    },
  });
  await publish(queue, 60_000, "a");
  expect(tries).toBe(20);
});

test("a batch for which the streams change until it is too late is given up, and was not sent", async () => {
  const totals = newTotals();
  const left: string[] = [];
  const queue = new PublishQueue({
    ...{ totals, opens: false },
    send: async (batch) => ({ is: "unsent", left: batch }),
    onLeft: ({ data }) => void left.push(String(data)),
  });
  const rejected = await publish(queue, 200, "a").catch((error: unknown) => error);
  expect(rejected).toMatchObject({ code: "ERR_PUBSUB_UNAVAILABLE" });
  expect(String(rejected)).not.toContain("unknown");
  await queue.idle();
  expect([left, totals.messages, totals.bytes]).toEqual([["a"], 0, 0]);
});
