import { expect, test } from "vitest";
import type { LiveMessage } from "../src/listeners/message.ts";
import { Outgoing } from "../src/listeners/outgoing.ts";

const message = { size: 100 } as LiveMessage;

/** A queue that may hold 200 bytes, and what its owner is asked for. */
function openQueue() {
  const asked: string[] = [];
  const queue = new Outgoing(
    { bytes: 200 },
    {
      write: () => void asked.push("write"),
      full: () => void asked.push("full"),
      failed: () => void asked.push("failed"),
    },
  );
  return { queue, asked };
}

test("as many bytes may wait as the queue's limit says, and no more", () => {
  const { queue, asked } = openQueue();
  queue.push(message);
  queue.push(message);
  expect(asked).toEqual([]);
  queue.push(message);
  expect(asked).toEqual(["full"]);
});

test("a queue that was closed before it was opened writes nothing any more", () => {
  const { queue, asked } = openQueue();
  queue.push(message);
  queue.close();
  queue.open();
  queue.push(message);
  expect(asked).toEqual([]);
});
