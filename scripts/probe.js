// Grades a Koa, Express or Fastify session set-up, installing first if needed: `npm run probe -- ./module.js`;
// without a module, ours and the peers, as in the README.
import { join } from "node:path";
import { install } from "./install.js";
import { root, runNode } from "./node.js";

const isAboutFixtures = (args) => args.every((arg) => arg.startsWith("--"));

const probe = async (args) => {
  await install();
  if (isAboutFixtures(args)) {
    await install(join(root, "bench"));
    const built = await runNode(["node_modules/typescript/bin/tsc", "-b", "packages/flash"]);
    if (built !== 0) return built;
  }
  return runNode(["bench/probe/run.js", ...args]);
};

probe(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    console.error(error.message);
    process.exitCode = 1;
  },
);
