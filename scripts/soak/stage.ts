import { Redis } from "ioredis";
import { startNats } from "../services/nats.ts";
import { startPostgres } from "../services/postgres.ts";
import { startRedis } from "../services/redis.ts";
import { freePort } from "../services/server-process.ts";
import { AppProcess } from "../testing/app-process.ts";
import { startBalancer } from "../testing/balancer.ts";
import type { Random } from "../testing/chance.ts";
import { startSwitchedProxy } from "../testing/switched-proxy.ts";
import type { AppOptions } from "./app.ts";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Two apps of two processes each: sessions in Redis with NATS, and in PostgreSQL with Redis. */
const APPS = [
  { store: "redis", bus: "nats" },
  { store: "postgres", bus: "redis" },
] as const;

/** Starts the servers and the apps, and returns what can befall them. */
export async function setStage(random: Random, failed: (what: string) => void) {
  const servers = {
    redis: await startRedis({ args: ["--appendonly", "yes", "--appendfsync", "always"] }),
    nats: await startNats(),
    postgres: await startPostgres(),
  };
  const ways = {
    redis: await startSwitchedProxy(servers.redis.port),
    nats: await startSwitchedProxy(servers.nats.port),
    postgres: await startSwitchedProxy(servers.postgres.port),
  };
  const ports = { redis: ways.redis.port, nats: ways.nats.port, postgres: ways.postgres.port };
  const { user, database } = servers.postgres.connection;
  const program = new URL("app.ts", import.meta.url);
  const startApp = async (kind: (typeof APPS)[number]) => {
    const processes: AppProcess<AppOptions>[] = [];
    for (let n = 0; n < 2; n++) {
      const options = { port: await freePort(), ...kind, servers: ports };
      processes.push(new AppProcess(program, { ...options, database: { user, database } }, failed));
    }
    await Promise.all(processes.map((it) => it.start()));
    const balancer = await startBalancer(() =>
      processes.filter((it) => it.isUp).map((it) => it.port),
    );
    return { processes, balancer, url: `http://127.0.0.1:${balancer.port}` };
  };
  const apps = await Promise.all(APPS.map(startApp));

  const pick = <T>(all: readonly T[]): T => all[random(all.length)] as T;
  const aWhile = () => sleep(100 + random(3_000));
  const anApp = () => pick(apps);
  const aProcess = () => pick(anApp().processes);
  const admin = new Redis(servers.redis.port, { retryStrategy: () => 100 }).on("error", () => {});
  const accidents: Record<string, () => Promise<void>> = {
    async "an app process is killed"() {
      const it = aProcess();
      await it.stop("SIGKILL");
      await it.start();
    },
    async "an app process is stopped"() {
      const it = aProcess();
      await it.stop("SIGTERM");
      await it.start();
    },
    "an app process stands still": () => aProcess().pause(100 + random(3_000)),
    async "the people's connections are cut"() {
      anApp().balancer.cut();
    },
    async "the people's connections stall"() {
      const { balancer } = anApp();
      balancer.stall(true);
      await aWhile();
      balancer.stall(false);
    },
    async "Redis has no memory left"() {
      await admin.config("SET", "maxmemory", "1");
      await aWhile();
      await admin.config("SET", "maxmemory", "0");
    },
  };
  for (const [name, server] of Object.entries(servers)) {
    accidents[`${name} is killed`] = async () => {
      await server.kill();
      await sleep(random(1_000));
      await server.restart();
    };
    accidents[`${name} stands still`] = async () => {
      await server.freeze();
      await aWhile();
      server.thaw();
    };
    accidents[`the way to ${name} is cut`] = async () => {
      const way = ways[name as keyof typeof ways];
      way.cut();
      await sleep(random(2_000));
      way.heal();
    };
  }

  return {
    apps,
    nextAccident: () => pick(Object.keys(accidents)),
    /** Lets an accident happen, and resolves when it is over. */
    async let(name: string): Promise<void> {
      await accidents[name]?.();
    },
    async [Symbol.asyncDispose]() {
      admin.disconnect();
      for (const { processes, balancer } of apps) {
        await balancer.stop();
        await Promise.all(processes.map((it) => it.stop("SIGKILL")));
      }
      for (const way of Object.values(ways)) await way[Symbol.asyncDispose]();
      for (const server of Object.values(servers)) await server.stop();
    },
  };
}
