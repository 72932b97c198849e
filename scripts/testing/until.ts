import { vi } from "vitest";

/**
 * Retries an assertion until it holds, and resolves to what it returns. Within a minute, which is
 * for a machine that is busy: no test passes or fails by how long something takes.
 */
export const until = <T>(assertion: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(assertion, { timeout: 60_000, interval: 10 });
