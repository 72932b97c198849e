import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { startCuttingProxy } from "../testing/cutting-proxy.ts";
import { type RedisServer, startRedis } from "./redis.ts";

/** A primary, a replica, and an address that leads to whichever of them is the primary. */
export interface FailoverRedis extends AsyncDisposable {
  readonly port: number;
  /**
   * Promotes the replica when it has all there is, and makes the primary a replica of it, as a managed
   * Redis does. New connections lead to the new primary; those that are open stay as they are.
   */
  failOver(): Promise<void>;
}

export const startFailoverRedis = async (): Promise<FailoverRedis> => {
  await using started = new AsyncDisposableStack();
  const start = async (...args: string[]): Promise<RedisServer> =>
    started.use(await startRedis({ args: ["--repl-diskless-sync-delay", "0", ...args] }));
  const primary = await start();
  const replica = await start("--replicaof", `${primary.host} ${primary.port}`);
  const proxy = started.use(
    await startCuttingProxy({ target: primary.port, isCommand: () => false }),
  );
  const admin = new Redis(primary.port);
  started.defer(() => admin.disconnect());
  const isReplica = async (): Promise<boolean> => {
    const [role, , , state] = await admin.role();
    return role === "slave" && (state as unknown) === "connected";
  };
  // Nothing is handed over to a replica that isn't there yet.
  while (!/,state=online,/.test(await admin.info("replication"))) await sleep(20);
  const running = started.move();
  return {
    port: proxy.port,
    async failOver() {
      // Takes no writes until the replica has them all. A command that waits for the replica (WAIT) doesn't
      // do: it looks at the writes of its own connection.
      await admin.call("FAILOVER", "TO", replica.host, replica.port);
      while (!(await isReplica())) await sleep(20);
      proxy.target = replica.port;
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
};
