import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { WorkerOptions } from "./worker.ts";

/** A server in a process of its own. */
export interface Node {
  readonly worker: ChildProcess;
  readonly url: string;
}

export async function startNode(options: WorkerOptions): Promise<Node> {
  const file = fileURLToPath(new URL("./worker.ts", import.meta.url));
  const worker = fork(file, [JSON.stringify(options)], {
    execArgv: ["--conditions=@lanai/source"],
  });
  const ended = once(worker, "exit").then(([code]) => {
    throw new Error(`the worker ended with ${code}`);
  });
  const [port] = await Promise.race([once(worker, "message"), ended]);
  ended.catch(() => {});
  return { worker, url: `http://127.0.0.1:${port}` };
}

export async function stopNode({ worker }: Node): Promise<void> {
  if (worker.exitCode !== null) return;
  worker.disconnect();
  await once(worker, "exit");
}
