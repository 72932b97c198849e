import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LockQueue, lockedError } from "../src/lock-queue.ts";

const failing = (errcode: number) => Object.assign(new Error("x"), { errcode });

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

test.each([
  ["SQLITE_BUSY", 5],
  ["SQLITE_LOCKED", 6],
  ["SQLITE_BUSY_SNAPSHOT", 517],
  ["SQLITE_LOCKED_SHAREDCACHE", 262],
])("%s is tried again", async (_, code) => {
  let tries = 0;
  const answer = new LockQueue(100).write(() => {
    if (tries++ < 3) throw failing(code);
    return "done";
  });
  await vi.advanceTimersByTimeAsync(100);
  expect(await answer).toBe("done");
});

test.each([
  ["SQLITE_ERROR", failing(1)],
  ["SQLITE_FULL", failing(13)],
  ["no error of SQLite", new Error("x")],
  ["nothing", undefined],
])("%s is thrown at once", (_, error) => {
  let tries = 0;
  const work = () => {
    tries++;
    throw error;
  };
  let thrown: unknown = "nothing was thrown";
  try {
    void new LockQueue(100).write(work);
  } catch (caught) {
    thrown = caught;
  }
  expect(thrown).toBe(error);
  expect(tries).toBe(1);
});

test("a long queue runs a hundred at a time, and lets other events in between", async () => {
  const queue = new LockQueue(1_000);
  let isLocked = true;
  let done = 0;
  const answers = Array.from({ length: 250 }, () =>
    queue.write(() => {
      if (isLocked) throw lockedError("x");
      return ++done;
    }),
  );
  isLocked = false;
  const seen: number[] = [];
  while (vi.getTimerCount() > 0) {
    vi.advanceTimersToNextTimer();
    seen.push(done);
  }
  for (const answer of answers) await answer;
  expect(seen).toEqual([100, 200, 250]);
});

test("only the first of a queue tries the lock, with pauses that grow to 16 ms at most", async () => {
  const queue = new LockQueue(1_000);
  let tries = 0;
  const answers = Array.from({ length: 50 }, () =>
    queue.write(() => {
      tries++;
      throw lockedError("x");
    }),
  );
  const settled = Promise.allSettled(answers);
  const direct = tries;
  await vi.advanceTimersByTimeAsync(900);
  expect(direct).toBe(1);
  // On average 8 ms apart, so about 112 times.
  expect(tries).toBeGreaterThan(50);
  expect(tries).toBeLessThan(400);
  await vi.advanceTimersByTimeAsync(200);
  expect((await settled).map(({ status }) => status)).toEqual(answers.map(() => "rejected"));
});
