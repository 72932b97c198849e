// The benchmark: `npm run bench`, see README.md.
import { mkdirSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { record } from "../scripts/evidence/record.js";
import { startRedis } from "../scripts/services/redis.ts";
import { correctness } from "./correctness.js";
import { growth } from "./growth.js";
import { http } from "./http.js";
import { about } from "./lib/about.js";
import { closeConnections } from "./lib/browser.js";
import { draw } from "./lib/chart.js";
import { REDIS_CPU } from "./lib/config.js";
import { isOurs, needsRedis, variantNames } from "./lib/variants.js";
import { memory } from "./memory.js";
import { micro } from "./micro.js";
import { pubsub } from "./pubsub.js";
import { pubsubNats } from "./pubsub-nats.js";
import { pubsubRedis } from "./pubsub-redis.js";
import { redis } from "./redis.js";
import { size } from "./size.js";
import { smoke } from "./smoke.js";
import { storm } from "./storm.js";
import { tabs } from "./tabs.js";

const PARTS = {
  http,
  redis,
  micro,
  correctness,
  memory,
  size,
  pubsub,
  "pubsub-nats": pubsubNats,
  "pubsub-redis": pubsubRedis,
  growth,
  tabs,
  storm,
};
const ON_REDIS = ["redis", "size", "pubsub-redis", "growth", "storm"];

/** `expiry`: for how many milliseconds at most sessions are watched while they expire. */
const full = {
  rounds: 3,
  seconds: 2,
  warm: 2,
  times: 3,
  processes: 5,
  sessions: 1_000_000,
  compare: 200_000,
  expiry: 120_000,
  tabs: 10_000,
};
const quick = {
  rounds: 1,
  seconds: 1,
  warm: 1,
  times: 1,
  processes: 1,
  sessions: 100_000,
  compare: 20_000,
  expiry: 5_000,
  tabs: 1_000,
};
const quickVariants = variantNames.filter(
  (it) => isOurs(it) || /^koa-session-(mem|redis)$/.test(it),
);

const count = (option, text) => {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new RangeError(`--${option} takes an integer from 1, got ${text}`);
};

const readArguments = (args) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      rounds: { type: "string" },
      seconds: { type: "string" },
      warm: { type: "string" },
      scenarios: { type: "string", default: "abcd" },
    },
  });
  const parts = positionals.filter((it) => it in PARTS);
  const variants = positionals.filter((it) => !(it in PARTS));
  const unknown = variants.filter((it) => !variantNames.includes(it));
  if (unknown.length > 0) {
    throw new TypeError(
      `there is no ${unknown.join(", ")}; parts are ${Object.keys(PARTS).join(", ")}, variants ${variantNames.join(", ")}`,
    );
  }
  if (!/^[abcd]+$/.test(values.scenarios)) {
    throw new TypeError(`--scenarios takes letters of abcd, got ${values.scenarios}`);
  }
  const options = { ...(values.quick ? quick : full), scenarios: values.scenarios };
  for (const option of ["rounds", "seconds", "warm"]) {
    if (values[option] !== undefined) options[option] = count(option, values[option]);
  }
  return {
    isWhole: !values.quick && variants.length === 0,
    parts: parts.length > 0 ? parts : Object.keys(PARTS),
    variants: variants.length > 0 ? variants : values.quick ? quickVariants : variantNames,
    options,
  };
};

/**
 * A private Redis on a core of its own, for the servers and scripts of this run. It keeps whatever a
 * subscriber has not read yet: by default it ends those who are 32 MB behind.
 */
const startServer = async () => {
  const unlimited = ["--client-output-buffer-limit", "pubsub 0 0 0"];
  const server = await startRedis({ args: ["--server_cpulist", REDIS_CPU, ...unlimited] });
  process.env.BENCH_REDIS_PORT = String(server.port);
  return server;
};

const results = new URL("results/", import.meta.url);

const bench = async () => {
  const { isWhole, parts, variants, options } = readArguments(process.argv.slice(2));
  mkdirSync(results, { recursive: true });
  console.log(`${about()}\n`);
  await using server = parts.some((it) => ON_REDIS.includes(it)) ? await startServer() : undefined;
  await smoke(variants.filter((it) => server !== undefined || !needsRedis(it)));
  for (const part of parts) {
    const { text, data, isTooNoisy = false, charts = [] } = await PARTS[part](variants, options);
    console.log(`## ${part}\n\n${text}\n`);
    writeFileSync(new URL(`${part}.md`, results), `${about()}\n\n${text}\n`);
    writeFileSync(new URL(`${part}.json`, results), JSON.stringify(data, null, 1));
    const drawn = Object.fromEntries(charts.map((chart) => [chart.name, draw(chart)]));
    for (const [name, themes] of Object.entries(drawn)) {
      for (const [theme, svg] of Object.entries(themes)) {
        writeFileSync(new URL(`${part}-${name}-${theme}.svg`, results), svg);
      }
    }
    // What was left out for speed would be missing as evidence.
    if (isWhole) record(part, { about: about(), text, isTooNoisy, charts: drawn });
  }
  closeConnections();
};

bench().catch((error) => {
  console.error(error instanceof TypeError || error instanceof RangeError ? error.message : error);
  process.exit(1);
});
