import { beforeEach } from "vitest";

/** Starts one before each test, and stops it afterwards; what it returns is always that of the test that runs. */
export function eachTest<T extends { stop(): unknown }>(start: () => Promise<T>): T {
  const current = {} as T;
  beforeEach(async () => {
    const started = await start();
    Object.assign(current, started);
    return async () => {
      await started.stop();
    };
  });
  return current;
}
