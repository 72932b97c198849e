import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { type RedisServer, startRedis } from "./redis.ts";
import { freePort, ServerProcess, temporaryFolder } from "./server-process.ts";

/** A master, a replica of it, and a Sentinel that promotes the replica two seconds after its end. */
export interface WatchedRedis extends AsyncDisposable {
  /** What the Sentinel calls the master. */
  readonly name: string;
  readonly sentinel: Readonly<{ host: string; port: number }>;
  readonly master: RedisServer;
  readonly replica: RedisServer;
  stop(): Promise<void>;
}

const NAME = "lanai";
const READY_TIMEOUT = 60_000;

export const startWatchedRedis = async (): Promise<WatchedRedis> => {
  const port = await freePort();
  const folder = temporaryFolder("sentinel");
  const servers: RedisServer[] = [];
  // It keeps in its configuration what it has found out.
  const configuration = join(folder.path, "sentinel.conf");
  const watcher = new ServerProcess({
    program: "redis-server",
    folder: folder.path,
    ready: /\+monitor master/,
    args: [configuration, "--sentinel"],
  });
  const stop = async () => {
    await Promise.all([watcher.kill(), ...servers.map((server) => server.stop())]);
    folder.remove();
  };
  try {
    const master = await startRedis({ args: ["--repl-diskless-sync-delay", "0"] });
    servers.push(master);
    const { host } = master;
    const replica = await startRedis({ args: ["--replicaof", `${host} ${master.port}`] });
    servers.push(replica);
    await until(replica, async (redis) =>
      (await redis.info("replication")).includes("master_link_status:up"),
    );
    writeFileSync(
      configuration,
      `port ${port}
bind ${host}
sentinel monitor ${NAME} ${host} ${master.port} 1
sentinel down-after-milliseconds ${NAME} 2000
sentinel failover-timeout ${NAME} 5000
`,
    );
    await watcher.start();
    await until({ host, port }, async (redis) =>
      String(await redis.call("SENTINEL", "REPLICAS", NAME)).includes(`${replica.port}`),
    );
    return {
      name: NAME,
      sentinel: { host, port },
      master,
      replica,
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
};

const until = async (
  { host, port }: { host: string; port: number },
  isSo: (redis: Redis) => Promise<boolean>,
) => {
  const redis = new Redis({ host, port });
  try {
    const deadline = Date.now() + READY_TIMEOUT;
    while (!(await isSo(redis))) {
      if (Date.now() > deadline) throw new Error("Sentinel and its Redis were not ready in time");
      await sleep(20);
    }
  } finally {
    redis.disconnect();
  }
};
