import { storeConformance } from "@lanai/session/testing";
import { fromExpressStore } from "@lanai/session-compat";
import { MemoryStore } from "express-session";
import { test } from "vitest";

const opened = () => {
  let now = Date.now();
  const clock = () => now;
  const memory = new MemoryStore();
  return {
    store: fromExpressStore(memory, { clock }),
    // Another manager in this process: both take turns.
    again: fromExpressStore(memory, { clock }),
    advance(ms: number) {
      now += ms;
    },
  };
};

storeConformance({
  name: "express-session's MemoryStore",
  test,
  open: opened,
  limits: fromExpressStore(new MemoryStore()).limits.everywhere,
});
