import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** How many bytes this process holds, once what nobody can reach is gone. */
export const heapUsed = (): number => {
  collect();
  return process.memoryUsage().heapUsed;
};
