// Compares ours with the peers, installing and building first if needed: `npm run bench`, and with
// `-- --quick` in a minute. Other arguments are those of bench/run.js.
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { install } from "./install.js";
import { root, runNode } from "./node.js";

const TOOLS = { wrk: "wrk", taskset: "util-linux", chrt: "util-linux" };

const isOnPath = (tool) =>
  (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, tool)));

const checkTools = () => {
  const missing = Object.keys(TOOLS).filter((tool) => !isOnPath(tool));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((tool) => TOOLS[tool]))].join(" ");
  throw new Error(
    `The benchmark needs Linux with ${missing.join(" and ")}. On Debian or Ubuntu:\n` +
      `  sudo apt-get install ${packages}`,
  );
};

const bench = async (args) => {
  checkTools();
  await install();
  await install(join(root, "bench"));
  const built = await runNode(["node_modules/typescript/bin/tsc", "-b"]);
  return built === 0 ? runNode(["bench/run.js", ...args]) : built;
};

bench(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error) => {
    console.error(error.message);
    process.exitCode = 1;
  },
);
