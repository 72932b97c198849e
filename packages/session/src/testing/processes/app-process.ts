import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { AppOptions } from "./app.ts";

/** A Koa app on the store, in a process of its own. */
export interface AppProcess {
  readonly child: ChildProcess;
  readonly url: string;
}

/** Whether the app is a source, as in the repository. It then finds the packages' sources by a condition. */
const isSource = import.meta.url.endsWith(".ts");

export async function startApp(options: AppOptions): Promise<AppProcess> {
  const file = fileURLToPath(new URL(isSource ? "./app.ts" : "./app.js", import.meta.url));
  const child = fork(file, [JSON.stringify(options)], {
    execArgv: [...process.execArgv, ...(isSource ? ["--conditions=@lanai/source"] : [])],
  });
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`the app's process ended with ${code}: see what it wrote`);
  });
  const [port] = await Promise.race([once(child, "message"), ended]);
  ended.catch(() => {});
  return { child, url: `http://127.0.0.1:${port}` };
}

export async function stopApp({ child }: AppProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.disconnect();
  await once(child, "exit");
}
