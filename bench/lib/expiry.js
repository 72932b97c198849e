import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";

/** Bytes in use when everything that can be collected was. Needs `--expose-gc`. */
export const settledMemory = async () => {
  for (let i = 0; i < 4; i++) {
    globalThis.gc();
    await sleep(30);
  }
  return process.memoryUsage();
};

/**
 * Waits until `isOver`, or `atMost` milliseconds; resolves to how long that took and the longest
 * time, in milliseconds, for which the event loop stood still.
 */
export const watchLoop = async (isOver, atMost) => {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const start = performance.now();
  delay.enable();
  while (!isOver() && performance.now() - start < atMost) await sleep(100);
  delay.disable();
  return { lasted: performance.now() - start, stall: delay.max / 1e6 };
};
