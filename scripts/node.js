import { spawn, spawnSync } from "node:child_process";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

// The first Node that runs TypeScript as it is, without a flag.
const OLDEST = [22, 18];

const isRecent = (version) => {
  const [major, minor] = version.split(".").map(Number);
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
};

/**
 * The path of the Node that everything here runs on: the workspace's own, whatever the machine has;
 * else the one that runs this, if it is recent enough.
 */
const findNode = () => {
  const own = join(root, "node_modules/node/bin/node");
  if (spawnSync(own, ["--version"]).status === 0) return own;
  if (isRecent(process.versions.node)) return process.execPath;
  throw new Error(
    `${own} doesn't run, and this Node (${process.version}) is older than ${OLDEST.join(".")}.\n` +
      "Its install script may have been blocked, by npm's ignore-scripts for instance. Either run\n" +
      "  npm rebuild node --ignore-scripts=false\n" +
      `or use Node ${OLDEST.join(".")} or newer.`,
  );
};

/** Runs a program on {@link findNode}, with this process's terminal, and resolves to its exit code. */
export const runNode = (args) => {
  const node = findNode();
  const PATH = [dirname(node), join(root, "node_modules/.bin"), process.env.PATH].join(delimiter);
  const child = spawn(node, args, {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, PATH },
  });
  // The child decides what an interrupt means and how long a clean end takes.
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  const forward = (signal) => child.kill(signal);
  for (const signal of signals) process.on(signal, forward);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => {
      for (const signal of signals) process.off(signal, forward);
      resolve(code ?? 1);
    });
  });
};
