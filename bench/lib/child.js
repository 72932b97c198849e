import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { SERVER_CPU } from "./config.js";

/** Starts one of our scripts on the servers' core; resolves to it when it sends its first message. */
export const startPinned = async (script, args, { nodeArgs = [], env = {} } = {}) => {
  const file = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn("taskset", ["-c", SERVER_CPU, process.execPath, ...nodeArgs, file, ...args], {
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    env: { ...process.env, NODE_ENV: "production", ...env },
  });
  let complaints = "";
  child.stderr.on("data", (text) => {
    complaints = (complaints + text).slice(-4000);
  });
  const exited = once(child, "exit");
  const message = once(child, "message");
  const failed = exited.then(([code]) => {
    throw new Error(`${script} ${args.join(" ")} exited with ${code}: ${complaints}`);
  });
  const [first] = await Promise.race([message, failed]);
  failed.catch(() => {});
  return {
    pid: child.pid,
    first,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill();
      await exited;
    },
  };
};

export const startVariant = (name, port, env) =>
  startPinned("server.js", [name, String(port)], { env });

/** The processor time that a process has used, in seconds. */
export const cpuSeconds = (pid) => {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const [, , , , , , , , , , , user, system] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(user) + Number(system)) / 100;
};
