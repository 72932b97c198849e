import { readFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem, type } from "node:os";

const json = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));
const { dependencies: peers } = json("../package.json");
const installed = (folder, names) =>
  names.map((name) => `${name} ${json(`${folder}/node_modules/${name}/package.json`).version}`);

const OURS = [
  "session",
  "session-redis",
  "session-sqlite",
  "pubsub",
  "pubsub-nats",
  "pubsub-redis",
].map((name) => `@lanai/${name}`);
/** Those that the project's own tests need, too. */
const IN_ROOT = ["koa", "ioredis", "redis", "connect-redis", "@nats-io/transport-node"];

/** What was measured, on what and when. Names no machine. */
export const about = () =>
  [
    `Date: ${new Date().toISOString()}`,
    `Machine: ${cpus()[0].model}, ${availableParallelism()} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, ${type()} ${release().match(/^\d+\.\d+/)?.[0]}`,
    `Node ${process.versions.node}, V8 ${process.versions.v8}`,
    `Ours: ${installed("../..", OURS).join(", ")}`,
    `Peers: ${[...installed("../..", IN_ROOT), ...installed("..", Object.keys(peers))].join(", ")}`,
  ]
    .map((line) => `- ${line}`)
    .join("\n");
