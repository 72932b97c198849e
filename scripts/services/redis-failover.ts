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
  const admins = [primary, replica].map(({ port }) => new Redis(port)) as [Redis, Redis];
  started.defer(() => {
    for (const admin of admins) admin.disconnect();
  });
  const running = started.move();
  return {
    port: proxy.port,
    async failOver() {
      const [demoted, promoted] = admins;
      await demoted.wait(1, 0);
      await promoted.call("REPLICAOF", "NO", "ONE");
      await demoted.call("REPLICAOF", replica.host, `${replica.port}`);
      proxy.target = replica.port;
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
};
