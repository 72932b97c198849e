/** Why a database in a file refuses calls. */
export type Refusal =
  /** Another connection writes, for longer than a call waits. */
  | "locked"
  /** There is no room on the disk. */
  | "full";

const READS = new Set(["load", "list"]);
const GROWS = new Set(["create", "commit", "commitByPublicId"]);

/**
 * The model of SQLite: a call that is refused rejects, and nothing of it is applied, then or later. Reads
 * need no lock, and an end needs no room.
 */
export function refusing<T extends object>(server: T, refusal: () => Refusal | undefined): T {
  const calls = Object.entries(server).map(([name, value]) => {
    if (typeof value !== "function" || READS.has(name) || name === "close") return [name, value];
    return [
      name,
      (...args: unknown[]) => {
        const why = refusal();
        if (why === "locked" || (why === "full" && GROWS.has(name))) {
          throw new Error(`the database is ${why}`);
        }
        return value.apply(server, args);
      },
    ];
  });
  return { ...server, ...Object.fromEntries(calls) };
}
