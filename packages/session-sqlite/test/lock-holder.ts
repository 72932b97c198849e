import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

/** Another process, which can lock a database. */
export interface LockHolder {
  /** Without `ms`, until `unlock`. */
  lock(ms?: number): Promise<void>;
  unlock(): Promise<void>;
}

export async function lockHolder(file: string): Promise<LockHolder> {
  const child = fork(fileURLToPath(new URL("lock-holder-process.ts", import.meta.url)), [file]);
  onTestFinished(async () => {
    child.kill();
    await once(child, "exit");
  });
  await once(child, "message");
  const ask = async (message: { lock: boolean; ms?: number }) => {
    child.send(message);
    await once(child, "message");
  };
  return {
    lock: (ms) => ask({ lock: true, ...(ms !== undefined && { ms }) }),
    unlock: () => ask({ lock: false }),
  };
}
