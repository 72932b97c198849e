// What lock-holder.ts starts: it takes the write lock, and lets go when it is told or the time is over.
import { DatabaseSync } from "node:sqlite";

const database = new DatabaseSync(process.argv[2] as string);

const unlock = () => database.exec("ROLLBACK");

process.on("message", ({ lock, ms }: { lock: boolean; ms?: number }) => {
  if (lock) database.exec("BEGIN IMMEDIATE");
  else unlock();
  if (ms !== undefined) setTimeout(unlock, ms);
  process.send?.("done");
});
process.once("disconnect", () => process.exit());
process.send?.("ready");
