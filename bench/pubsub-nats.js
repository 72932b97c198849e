import { startNats } from "../scripts/services/nats.ts";
import { compareTransports } from "./lib/compare-transports.js";
import { LOAD_CPUS, SERVER_CPU } from "./lib/config.js";

/**
 * What ours cost beside the raw client on the same server: at least 80 % of its rate is left, and a
 * millisecond more is the most.
 */
const PAIRS = [
  { raw: "nats", ours: "lanai-nats", target: 0.8, added: 1_000 },
  { raw: "jetstream", ours: "lanai-jetstream", target: 0.8, added: 1_000 },
];

export const pubsubNats = async (_, options) => {
  await using server = await startNats();
  process.env.BENCH_NATS_ADDRESS = `${server.host}:${server.port}`;
  const [publisher, subscriber] = LOAD_CPUS.split(",");
  return await compareTransports(PAIRS, {
    ...options,
    cpus: { publisher: publisher ?? SERVER_CPU, subscriber: subscriber ?? SERVER_CPU },
  });
};
