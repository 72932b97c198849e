import { setImmediate as nextTurn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect } from "vitest";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Waits until nothing refers to an object any more. */
export async function expectCollected(ref: WeakRef<object>): Promise<void> {
  for (let turn = 0; turn < 50 && ref.deref() !== undefined; turn++) {
    await nextTurn();
    collect();
  }
  expect(ref.deref()?.constructor.name).toBeUndefined();
}
