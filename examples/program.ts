import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";

/** Under the examples' own config, which runs in their folders, the packages are the built ones. */
const areBuilt = (folder: string) => process.cwd() === folder;

const START_TIMEOUT = 60_000;

/**
 * Runs a program of an example as its users do, in a process of its own with `PORT`, until it
 * answers there; disposed, it is killed, and `stop` asks it to end and resolves to its exit code.
 *
 * @param folder - The example.
 * @param program - The program's path in it.
 */
export async function startProgram(
  folder: string,
  program: string,
  port: number,
  env: Readonly<Record<string, string>>,
): Promise<AsyncDisposable & { stop(): Promise<number | null> }> {
  const conditions = areBuilt(folder) ? [] : ["--conditions=@lanai/source"];
  const child = spawn(process.execPath, [...conditions, program], {
    cwd: folder,
    env: { ...process.env, ...env, PORT: `${port}` },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let written = "";
  child.stderr.on("data", (chunk) => {
    written += chunk;
  });
  const deadline = Date.now() + START_TIMEOUT;
  while (!(await answers(port))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      await end(child);
      throw new Error(`${program} did not start:\n${written}`);
    }
    await wait(20);
  }
  return {
    async stop() {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
      return child.exitCode;
    },
    [Symbol.asyncDispose]: () => end(child),
  };
}

const answers = (port: number): Promise<boolean> =>
  fetch(`http://127.0.0.1:${port}`).then(
    () => true,
    () => false,
  );

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}
