import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { test } from "vitest";
import { startNats } from "../services/nats.ts";
import { startPostgres } from "../services/postgres.ts";
import { startRedis } from "../services/redis.ts";
import { startRedisCluster } from "../services/redis-cluster.ts";
import { isLong, randomFrom, seed } from "../testing/chance.ts";
import { type RaggedProxy, startRaggedProxy } from "../testing/ragged-proxy.ts";
import type { Surviving } from "../testing/survivor.ts";
import { until } from "../testing/until.ts";

/** How many connections break before the servers are left in peace. */
const BROKEN = isLong ? 1_500 : 100;
/** So many break in the time that a test waits for anything. */
const AT_ONCE = 20;

const postgresFarewell = () => {
  const fields = "SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0";
  const message = Buffer.alloc(5 + fields.length);
  message.write(`E\0\0\0\0${fields}`, "latin1");
  message.writeInt32BE(4 + fields.length, 1);
  return message;
};

const FAREWELLS = {
  redis: Buffer.from("-ERR the server is shutting down\r\n"),
  postgres: postgresFarewell(),
  nats: Buffer.from("-ERR 'Server Shutdown'\r\n"),
};

async function startServers(kind: Surviving["kind"]) {
  if (kind.endsWith("cluster")) return { ...(await startRedisCluster()), pool: undefined };
  const server = await (kind === "pubsub-nats"
    ? startNats()
    : kind === "session-postgres"
      ? startPostgres({ settings: { fsync: "off" } })
      : startRedis());
  return {
    nodes: [server] as const,
    pool: "connection" in server ? server.connection : undefined,
    stop: () => server.stop(),
  };
}

test.concurrent.for<Surviving["kind"]>([
  "session-redis",
  "session-redis on a cluster",
  "session-postgres",
  "pubsub-redis",
  "pubsub-redis on a cluster",
  "pubsub-nats",
])(
  "no error of a server ends a process, at whatever moment (%s)",
  async (kind, { expect, onTestFinished }) => {
    const { nodes, pool, stop } = await startServers(kind);
    onTestFinished(stop);
    const random = randomFrom(seed);
    const farewell = pool
      ? FAREWELLS.postgres
      : FAREWELLS[kind === "pubsub-nats" ? "nats" : "redis"];
    const proxies = await Promise.all(
      nodes.map(({ port }) => startRaggedProxy({ target: port, random, farewell })),
    );
    onTestFinished(async () => {
      for (const proxy of proxies) await proxy[Symbol.asyncDispose]();
    });
    const { port } = proxies[0] as RaggedProxy;
    const ways = nodes.map(({ host, port: own }, n) => {
      return [`${host}:${own}`, { host, port: (proxies[n] as RaggedProxy).port }] as const;
    });
    const at: Surviving = { kind, port, natMap: Object.fromEntries(ways), ...(pool && { pool }) };
    const child = start(at);
    onTestFinished(() => void child.kill("SIGKILL"));

    let errors = "";
    child.stderr?.on("data", (text) => (errors += text));
    let rounds = 0;
    child.on("message", () => (rounds += 1));
    const ended = once(child, "exit");
    const alive = <T>(condition: () => T | Promise<T>) =>
      Promise.race([
        until(condition),
        ended.then(([code]) => {
          throw new Error(`the process ended with ${code}:\n${errors}`);
        }),
      ]);

    // The client of NATS takes longer for each.
    const broken = kind === "pubsub-nats" ? BROKEN / 5 : BROKEN;
    for (let least = AT_ONCE; least <= broken; least += AT_ONCE) {
      await alive(() =>
        expect(proxies.reduce((sum, proxy) => sum + proxy.broken, 0)).toBeGreaterThan(least),
      );
    }
    for (const proxy of proxies) proxy.calm();
    const before = rounds;
    await alive(() => expect(rounds).toBeGreaterThan(before + 2));
    child.disconnect();
    expect(await ended).toEqual([0, null]);
  },
);

const start = (at: Surviving): ChildProcess =>
  fork(fileURLToPath(new URL("../testing/survivor.ts", import.meta.url)), [JSON.stringify(at)], {
    execArgv: ["--conditions=@lanai/source"],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
