import { type RedisClient, type RedisStoreEvent, redisStore } from "@lanai/session-redis";
import { afterEach, expect, test, vi } from "vitest";
import { reported } from "../../../scripts/testing/reported.ts";
import { newKey } from "./records.ts";

afterEach(() => vi.restoreAllMocks());

/** A server that counts how often it is asked, and answers for its memory with a policy or an error. */
class Server {
  readonly options: { host: string; port: number };
  asked = 0;
  answer: string | Error;

  constructor(port: number, answer: string | Error) {
    this.options = { host: "redis", port };
    this.answer = answer;
  }

  async call(command: string): Promise<unknown> {
    if (command !== "INFO") return [0, []];
    this.asked += 1;
    if (this.answer instanceof Error) throw this.answer;
    return `# Memory\r\nmaxmemory_policy:${this.answer}\r\n`;
  }
}

const lost = new Error("the connection broke");

/** Uses the store of a client, and lets the minutes go by. */
function used(client: RedisClient) {
  const store = redisStore(client);
  let time = 0;
  vi.spyOn(performance, "now").mockImplementation(() => time);
  return async (minutes = 0) => {
    time += minutes * 60_000;
    await store.load(newKey());
    await store.load(newKey());
  };
}

test("whether Redis evicts is asked again a minute after the answer was lost, until it comes", async () => {
  using evicting = reported<RedisStoreEvent>("lanai:session:evicting");
  const server = new Server(1, lost);
  const use = used({ isCluster: false, call: (command) => server.call(command) });
  await use();
  await use(0.9);
  expect(server.asked).toBe(1);
  await use(0.1);
  expect(server.asked).toBe(2);
  server.answer = "volatile-ttl";
  await use(1);
  expect(server.asked).toBe(3);
  expect(evicting.events).toMatchObject([{ reason: "volatile-ttl" }]);
  await use(10);
  expect(server.asked).toBe(3);
});

test("a user of an ACL that may not ask is not asked for again", async () => {
  const server = new Server(1, new Error("NOPERM this user has no permissions to run 'info'"));
  const use = used({ isCluster: false, call: (command) => server.call(command) });
  await use();
  await use(10);
  expect(server.asked).toBe(1);
});

test("every master of a cluster is asked, one whose answer was lost again, and one that is new", async () => {
  using evicting = reported<RedisStoreEvent>("lanai:session:evicting");
  const masters = [new Server(1, "noeviction"), new Server(2, lost), new Server(3, "allkeys-lfu")];
  const use = used({
    isCluster: true,
    call: async () => [0, []],
    nodes: () => masters,
  });
  const asked = () => masters.map((it) => it.asked);
  await use();
  expect(asked()).toEqual([1, 1, 1]);
  expect(evicting.events).toMatchObject([{ reason: "allkeys-lfu" }]);
  await use(1);
  expect(asked()).toEqual([1, 2, 1]);
  masters.push(new Server(4, "volatile-random"));
  await use(1);
  expect(asked()).toEqual([1, 3, 1, 1]);
  expect(evicting.events).toMatchObject([{ reason: "allkeys-lfu" }, { reason: "volatile-random" }]);
});
