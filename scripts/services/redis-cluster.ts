import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { type RedisServer, startRedis } from "./redis.ts";
import { freePort } from "./server-process.ts";

/** A private cluster of three masters on loopback. */
export interface RedisCluster extends AsyncDisposable {
  readonly nodes: readonly [RedisServer, ...RedisServer[]];
  stop(): Promise<void>;
}

export interface RedisClusterOptions {
  /** More of each node's command line. Default: none. */
  readonly args?: readonly string[];
}

const NODES = 3;
const SLOTS = 16_384;
const READY_TIMEOUT = 60_000;

export const startRedisCluster = async ({
  args: more = [],
}: RedisClusterOptions = {}): Promise<RedisCluster> => {
  const nodes: RedisServer[] = [];
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.stop()));
  };
  try {
    const buses: number[] = [];
    for (let n = 0; n < NODES; n++) {
      buses.push(await freePort());
      const args = ["--cluster-enabled", "yes", "--cluster-port", `${buses[n]}`, ...more];
      nodes.push(await startRedis({ args }));
    }
    await join(nodes, buses);
  } catch (error) {
    await stop();
    throw error;
  }
  return { nodes: nodes as [RedisServer, ...RedisServer[]], stop, [Symbol.asyncDispose]: stop };
};

const join = async (nodes: readonly RedisServer[], buses: readonly number[]) => {
  const clients = nodes.map(({ host, port }) => new Redis({ host, port }));
  try {
    for (const [n, client] of clients.entries()) {
      const [first, next] = [n, n + 1].map((part) => Math.floor((part * SLOTS) / NODES));
      await client.call("CLUSTER", "ADDSLOTSRANGE", `${first}`, `${Number(next) - 1}`);
      await client.call("CLUSTER", "SET-CONFIG-EPOCH", `${n + 1}`);
    }
    // Only now: a node that knows another one takes no epoch any more.
    for (const [n, client] of clients.entries()) {
      for (const [other, { host, port }] of nodes.entries()) {
        if (other > n) await client.call("CLUSTER", "MEET", host, `${port}`, `${buses[other]}`);
      }
    }
    const deadline = Date.now() + READY_TIMEOUT;
    while (!(await isJoined(clients))) {
      if (Date.now() > deadline) throw new Error("the Redis cluster was not ready in time");
      await sleep(20);
    }
  } finally {
    for (const client of clients) client.disconnect();
  }
};

/** Whether every node knows the way to every slot. */
const isJoined = async (clients: readonly Redis[]): Promise<boolean> => {
  const infos = await Promise.all(clients.map((client) => client.call("CLUSTER", "INFO")));
  return infos.every((info) => {
    const text = String(info);
    return text.includes("cluster_state:ok") && text.includes(`cluster_size:${NODES}`);
  });
};
