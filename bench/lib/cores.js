import { readFileSync } from "node:fs";

/** The numbers in a list as the kernel writes it: `0-2,5`. */
export const cpusIn = (list) =>
  list.split(",").flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, n) => first + n);
  });

/** The cores on which this process may run. */
export const allowedCpus = () => {
  const [, list = "0"] = /^Cpus_allowed_list:\s*(\S+)$/m.exec(
    readFileSync("/proc/self/status", "utf8"),
  );
  return cpusIn(list);
};

/**
 * Which core is whose: one for the server, then one for Redis and two for the load, as far as there
 * are so many. On two the load shares its core with Redis.
 *
 * @throws Error on one core, where nothing could be told from anything.
 */
export const planCores = (cpus) => {
  const [server, ...others] = cpus.map(String);
  if (others.length === 0) {
    throw new Error("The benchmark needs two cores: one for the server, one for the load.");
  }
  const redis = others.length > 1 ? others.shift() : others[0];
  return { server, redis, load: others.slice(0, 2) };
};
