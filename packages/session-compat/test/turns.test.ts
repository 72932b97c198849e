import { expect, test } from "vitest";
import { Turns } from "../src/turns.ts";

const later = () => {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  return { promise, resolve, reject };
};

test("calls on one key run one after the other, also after one that failed", async () => {
  const turns = new Turns();
  const [first, second] = [later(), later()];
  const log: string[] = [];
  const call = (name: string, until?: Promise<void>) =>
    turns.take("key", async () => {
      log.push(`${name} begins`);
      await until;
      log.push(`${name} ends`);
      return name;
    });
  const calls = [call("1", first.promise), call("2", second.promise), call("3")];
  first.reject(new Error("no"));
  await expect(calls[0]).rejects.toThrow("no");
  second.resolve();
  expect(await Promise.all(calls.slice(1))).toEqual(["2", "3"]);
  expect(log).toEqual(["1 begins", "2 begins", "2 ends", "3 begins", "3 ends"]);
});

test("calls on different keys don't wait for each other", async () => {
  const turns = new Turns();
  const slow = later();
  const first = turns.take("one", () => slow.promise);
  expect(await turns.take("other", async () => "done")).toBe("done");
  slow.resolve();
  await first;
});

test("a key without calls is forgotten", async () => {
  const turns = new Turns();
  const calls = [turns.take("one", async () => {}), turns.take("one", async () => {})];
  const failing = turns.take("other", async () => {
    throw new Error("no");
  });
  expect(turns.size).toBe(2);
  await Promise.all(calls);
  await expect(failing).rejects.toThrow("no");
  expect(turns.size).toBe(0);
});
