import { spawn } from "node:child_process";
import { once } from "node:events";

/** It ends with the process that started it, however that ends. */
const SPIN = "const parent = process.ppid; while (process.ppid === parent);";

/**
 * Keeps cores from going idle, by work of the lowest priority that yields to any other: on a virtual
 * machine an idle core has to be woken by the host, and the time for that is the waking process's.
 *
 * @returns What stops it.
 */
export const keepAwake = (cpus) => {
  const spinners = cpus.map((cpu) =>
    spawn("taskset", ["-c", cpu, "chrt", "--idle", "0", process.execPath, "-e", SPIN], {
      stdio: "ignore",
    }),
  );
  return () =>
    Promise.all(
      spinners.map(async (spinner) => {
        const exited = once(spinner, "exit");
        spinner.kill();
        await exited;
      }),
    );
};
