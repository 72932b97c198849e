import { afterAll } from "vitest";
import { twoProcesses } from "../../session/test/two-processes/cases.ts";
import { type Database, quietStore, startDatabase } from "./database.ts";

let database: Database;

twoProcesses({
  name: "PostgreSQL",
  async prepare() {
    database = await startDatabase({ fsync: "off" });
    await quietStore(database.pool()).migrate();
    return {
      module: new URL("open-store.ts", import.meta.url).href,
      options: { ...database.server.connection, max: 20 },
    };
  },
});

afterAll(() => database[Symbol.asyncDispose]());
