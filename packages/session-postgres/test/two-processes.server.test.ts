import { storeProcesses } from "@lanai/session/testing";
import { afterAll, test } from "vitest";
import { seed } from "../../../scripts/testing/chance.ts";
import { leastRounds } from "../../../scripts/testing/rounds.ts";
import { type Database, quietStore, startDatabase } from "./database.ts";

let database: Database;

afterAll(() => database[Symbol.asyncDispose]());

storeProcesses({
  name: "PostgreSQL",
  test: (name, run) => test(name, run),
  after: afterAll,
  ...{ rounds: leastRounds, seed },
  async store() {
    database = await startDatabase({ fsync: "off" });
    await quietStore(database.pool()).migrate();
    return {
      module: new URL("open-store.ts", import.meta.url).href,
      options: { ...database.server.connection, max: 20 },
    };
  },
});
