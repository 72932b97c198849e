import { readFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem, type } from "node:os";

const json = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));
const { dependencies: peers } = json("../package.json");
const installed = (folder, names) =>
  names.map((name) => `${name} ${json(`${folder}/node_modules/${name}/package.json`).version}`);

/** What was measured, on what and when. Names no machine. */
export const about = () =>
  [
    `Date: ${new Date().toISOString()}`,
    `Machine: ${cpus()[0].model}, ${availableParallelism()} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, ${type()} ${release().match(/^\d+\.\d+/)?.[0]}`,
    `Node ${process.versions.node}, V8 ${process.versions.v8}`,
    `Ours: ${installed("../..", ["@lanai/session", "@lanai/connection"]).join(", ")}`,
    `Peers: ${[...installed("../..", ["koa"]), ...installed("..", Object.keys(peers))].join(", ")}`,
  ]
    .map((line) => `- ${line}`)
    .join("\n");
