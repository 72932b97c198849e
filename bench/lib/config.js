import { allowedCpus, planCores } from "./cores.js";

// The runner decides; what it starts is pinned to a core, and can't see the others.
if (process.env.BENCH_SERVER_CPU === undefined) {
  const { server, redis, load } = planCores(allowedCpus());
  process.env.BENCH_SERVER_CPU = server;
  process.env.BENCH_REDIS_CPU ??= redis;
  process.env.BENCH_LOAD_CPUS ??= load.join(",");
}

/** What the runner and the servers it starts agree on. */
export const HOST = "127.0.0.1";
export const PORT = Number(process.env.BENCH_PORT ?? 7400);
/** The servers' core, and those of the load. The runner itself is wherever the system puts it. */
export const SERVER_CPU = process.env.BENCH_SERVER_CPU;
export const LOAD_CPUS = process.env.BENCH_LOAD_CPUS ?? process.env.BENCH_SERVER_CPU;

/** The private Redis of the parts that need one, and its core. */
export const REDIS_PORT = Number(process.env.BENCH_REDIS_PORT);
export const REDIS_CPU = process.env.BENCH_REDIS_CPU ?? process.env.BENCH_SERVER_CPU;

/** The private NATS server of its part, and the stream that is published to. */
export const NATS_ADDRESS = process.env.BENCH_NATS_ADDRESS;
export const RETAINED = { name: "kept", maxMsgs: 10_000 };

/** How long a session of every variant lives, in milliseconds. */
export const LIFETIME = Number(process.env.BENCH_LIFETIME ?? 24 * 60 * 60 * 1000);
export const SECRET = "a-benchmark-only-secret-of-at-least-32-bytes";
