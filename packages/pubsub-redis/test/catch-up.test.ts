import type { Gap } from "@lanai/pubsub";
import { Inbox, textOf } from "@lanai/pubsub/backend";
import { expect, test } from "vitest";
import { RedisNames } from "../src/redis/names.ts";
import type { StoredStream } from "../src/streams/stored-stream.ts";
import { StreamChannel } from "../src/streams/stream-channel.ts";
import type { StreamPage, StreamPosition } from "../src/streams/stream-position.ts";
import { CatchUp } from "../src/subscribing/catch-up.ts";
import { PlainChannel } from "../src/subscribing/channel.ts";

const EPOCH = "epoch-of-now";

const at = (count: number, passed = 0): StreamPosition => ({
  epoch: EPOCH,
  id: `${count}-${count}`,
  count,
  passed,
});

const pageOf = (...counts: readonly number[]): StreamPage => ({
  messages: counts.map((count) => ({
    ...{ id: `${count}-${count}`, count, subject: "a" },
    data: Buffer.from(`${count}`),
  })),
  last: at(counts.at(-1) as number),
  first: 1,
  head: counts.at(-1) as number,
  isEnd: true,
  isUnknown: false,
});

/** A subscription of `a` on one stream, whose reads and fences the test ends. */
async function subscribed() {
  const texts: string[] = [];
  const gaps: Gap[] = [];
  const reads: PromiseWithResolvers<StreamPage>[] = [];
  const fences: PromiseWithResolvers<void>[] = [];
  const deferred = <T>(all: PromiseWithResolvers<T>[]): Promise<T> => {
    const one = Promise.withResolvers<T>();
    all.push(one);
    return one.promise;
  };
  let head = at(1);
  const stored = {
    settings: {
      name: "s",
      subjects: [],
      former: ["a"],
      maxMsgs: 10,
      maxAge: Infinity,
      revision: 1,
    },
    head: async () => head,
    read: () => deferred(reads),
  };
  const inbox = new Inbox({
    subject: "a",
    handler: ({ data }) => void texts.push(textOf(data)),
    options: { onGap: (gap) => gaps.push(gap) },
    leave: () => {},
  });
  const plain = new PlainChannel("subscribe", "a", new RedisNames("", ""));
  const channel = new StreamChannel(stored as unknown as StoredStream, "s");
  const parts = { subject: "a", inbox, plain, isRetained: () => false };
  const catchUp = new CatchUp({ ...parts, fence: () => deferred(fences) });
  plain.add(catchUp);
  channel.add(catchUp);
  plain.subscribed();
  channel.subscribed();
  await catchUp.begin([channel]);
  const turn = () => new Promise(setImmediate);
  return {
    ...{ texts, gaps, channel, catchUp, plain, inbox },
    setHead(position: StreamPosition) {
      head = position;
    },
    /** A message comes that the stream has stored, or has passed on after a stored one. */
    stored: (count: number) =>
      channel.message("", Buffer.from(`${EPOCH} ${count}-${count} a\n${count}`)),
    passed: (after: number, number: number) =>
      channel.message("", Buffer.from(`${EPOCH} ${after}-${after}+${number} a\nafter ${after}`)),
    async endRead(page: StreamPage) {
      await turn();
      reads.shift()?.resolve(page);
      await turn();
    },
    async endFence() {
      await turn();
      fences.shift()?.resolve();
      await turn();
    },
  };
}

test("P10: what is read ends where what is held begins, with what isn't stored in between", async () => {
  const { texts, gaps, stored, passed, endRead, endFence } = await subscribed();
  stored(2);
  // 3 is missing: it is read, and meanwhile more comes.
  stored(4);
  passed(4, 1);
  stored(5);
  await endRead(pageOf(3, 4, 5));
  await endFence();
  expect(texts).toEqual(["2", "3", "4", "after 4", "5"]);
  expect(gaps).toEqual([]);
});

test("P10: a page waits for what was published before it was read and is still on its way", async () => {
  const { texts, gaps, channel, setHead, stored, passed, endRead, endFence } = await subscribed();
  stored(2);
  channel.lost();
  setHead(at(3));
  channel.subscribed();
  await endRead(pageOf(3, 4));
  expect(texts).toEqual(["2"]);
  passed(3, 1);
  stored(4);
  await endFence();
  expect(texts).toEqual(["2", "3", "after 3", "4"]);
  expect(gaps).toEqual([]);
});

test("P5: what a stream has passed on while it wasn't heard is a gap, in its place", async () => {
  const { texts, gaps, channel, setHead, stored, endRead, endFence } = await subscribed();
  stored(2);
  channel.lost();
  setHead(at(3, 1));
  channel.subscribed();
  await endRead(pageOf(3));
  await endFence();
  stored(4);
  expect(texts).toEqual(["2", "3", "4"]);
  expect(gaps).toEqual([{ subject: "a", reason: "reconnect" }]);
});

test("P10: after a second loss what was held is read again, and what can't be is reported", async () => {
  const { texts, gaps, channel, stored, passed, endRead, endFence } = await subscribed();
  stored(2);
  channel.lost();
  channel.subscribed();
  stored(3);
  passed(3, 1);
  channel.lost();
  channel.subscribed();
  await endRead(pageOf(3, 4));
  await endFence();
  await endRead(pageOf(3, 4));
  await endFence();
  expect(texts).toEqual(["2", "3", "4"]);
  expect(gaps).toContainEqual({ subject: "a", reason: "reconnect", count: 1 });
});

test("P10: plain messages that come while a new stream isn't heard yet are older than what it holds", async () => {
  const { texts, gaps, catchUp, plain, endRead, endFence } = await subscribed();
  const other = new StreamChannel(
    {
      settings: {
        name: "t",
        subjects: ["a"],
        former: [],
        maxMsgs: 10,
        maxAge: Infinity,
        revision: 1,
      },
      head: async () => ({ ...at(1), epoch: "other-epoch-" }),
      read: async (from: StreamPosition) => {
        const epoch = "other-epoch-";
        if (from.epoch !== epoch) return { ...pageOf(1), last: { ...at(0), epoch } };
        return { ...pageOf(1), last: { ...at(1), epoch } };
      },
    } as unknown as StoredStream,
    "t",
  );
  catchUp.join(other);
  plain.message("a", Buffer.from("plain"));
  other.subscribed();
  await endFence();
  await endRead({ ...pageOf(1), messages: [] });
  await endFence();
  await endFence();
  expect(texts).toEqual(["plain", "1"]);
  expect(gaps).toEqual([]);
});
