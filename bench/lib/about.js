import { readFileSync } from "node:fs";
import { machine } from "../../scripts/evidence/machine.js";

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
    machine(),
    `- Ours: ${installed("../..", OURS).join(", ")}`,
    `- Peers: ${[...installed("../..", IN_ROOT), ...installed("..", Object.keys(peers))].join(", ")}`,
  ].join("\n");
