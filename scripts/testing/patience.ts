/**
 * The timeouts of tests, in milliseconds. They are only for what hangs: on a busy machine anything else
 * may take its time, and no test says for itself how long. What is waited for (`until.ts`) fails
 * before, with its reason.
 */
export const patience = {
  testTimeout: 900_000,
  hookTimeout: 900_000,
  teardownTimeout: 60_000,
  expect: { poll: { timeout: 60_000 } },
};
