import { redisPubSub } from "@lanai/pubsub-redis";
import { compareTransports } from "./lib/compare-transports.js";
import { LOAD_CPUS, SERVER_CPU } from "./lib/config.js";
import { redisClient } from "./lib/redis-client.js";
import { fixed, median, table } from "./lib/text.js";

/**
 * What ours cost beside the raw client with automatic pipelines on the same server: at least 80 % of
 * its rate is left, and a millisecond more is the most. Retained messages, which the raw client has
 * nothing like, keep a third of the rate of plain ones.
 */
const PAIRS = [
  { raw: "ioredis", ours: "lanai-redis", target: 0.8, added: 1_000 },
  { raw: "lanai-redis", ours: "lanai-redis-retained", target: 1 / 3 },
  { raw: "ioredis", ours: "lanai-redis-retained" },
];

const WILDCARDS = 10_000;
const WINDOW = 1_000;

/** Publishes a second of a raw client, to which nobody listens. */
const publishRate = async (client, seconds) => {
  const start = performance.now();
  let sent = 0;
  while (performance.now() - start < seconds * 1000) {
    await Promise.all(Array.from({ length: WINDOW }, () => client.publish("nobody", "x")));
    sent += WINDOW;
  }
  return (sent * 1000) / (performance.now() - start);
};

/** What somebody else's publishes pay for the wildcards that a process has subscribed. */
const withPatterns = async ({ rounds, seconds }) => {
  const client = redisClient({ enableAutoPipelining: true });
  const subjects = Array.from({ length: WILDCARDS }, (_, n) => `client${n % 20}.${n}`);
  const listeners = {
    none: async () => () => {},
    "lanai-redis": async () => {
      const own = redisClient();
      const backend = redisPubSub(own);
      await Promise.all(subjects.map((it) => backend.subscribe(`${it}.>`, () => {})));
      return () => backend.close().then(() => own.disconnect());
    },
    ioredis: async () => {
      const subscriber = redisClient();
      await subscriber.psubscribe(...subjects.map((it) => `raw:${it}.*`));
      return () => subscriber.disconnect();
    },
  };
  const samples = [];
  for (let round = 0; round < rounds; round++) {
    for (const [name, listen] of Object.entries(listeners)) {
      const leave = await listen();
      const patterns = Number(await client.call("PUBSUB", "NUMPAT"));
      samples.push({ name, patterns, rate: await publishRate(client, seconds) });
      await leave();
    }
  }
  client.disconnect();
  const rows = Object.keys(listeners).map((name) => {
    const of = samples.filter((it) => it.name === name);
    return [name, String(of[0].patterns), fixed(median(of.map(({ rate }) => rate)))];
  });
  return { text: table(["10,000 wildcards by", "patterns", "publishes/s"], rows), data: samples };
};

export const pubsubRedis = async (_, options) => {
  const [publisher = SERVER_CPU, subscriber = SERVER_CPU] = LOAD_CPUS.split(",");
  const cpus = { publisher, subscriber };
  const transports = await compareTransports(PAIRS, { ...options, cpus });
  const patterns = await withPatterns(options);
  return {
    text: `${transports.text}\n\n${patterns.text}`,
    data: { transports: transports.data, patterns: patterns.data },
  };
};
