import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import type { CuttingProxy } from "../../../scripts/testing/cutting-proxy.ts";
import type { StoreAt } from "../src/testing/processes/store-at.ts";

export interface StandstillOptions {
  readonly name: string;
  readonly proxy: () => CuttingProxy;
  /** Where the store is, by way of the proxy. */
  readonly store: () => StoreAt;
}

/** Shorter than the standstill. */
const STORE_TIMEOUT = 2_000;

/** Stops a process whose calls have been answered, for longer than all of its timeouts. */
export function standstill({ name, proxy, store }: StandstillOptions): void {
  test(`S10: a process that stood still takes the answers that have arrived (${name})`, async () => {
    const child = fork(
      fileURLToPath(new URL("standstill-process.ts", import.meta.url)),
      [JSON.stringify(store()), `${STORE_TIMEOUT}`],
      { execArgv: ["--conditions=@lanai/source"] },
    );
    onTestFinished(() => void child.kill("SIGKILL"));
    await once(child, "message");
    proxy().hold();
    child.send("go");
    await once(child, "message");
    child.kill("SIGSTOP");
    proxy().release();
    await wait(2 * STORE_TIMEOUT);
    const ended = once(child, "message");
    child.kill("SIGCONT");
    const [how] = await ended;
    for (const [call, ended] of Object.entries(how as object)) {
      expect.soft(ended, call).toBe("resolved");
    }
    expect(how).toHaveProperty("load");
  });
}
