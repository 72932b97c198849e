import { afterAll, beforeAll } from "vitest";
import { type CuttingProxy, startCuttingProxy } from "../../../scripts/testing/cutting-proxy.ts";
import { standstill } from "../../session/test/standstill.ts";
import { type Database, quietStore, startDatabase } from "./database.ts";

let database: Database;
let proxy: CuttingProxy;

beforeAll(async () => {
  database = await startDatabase();
  proxy = await startCuttingProxy({ target: database.server.port, isCommand: () => false });
  await quietStore(database.pool()).migrate();
});
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await database?.[Symbol.asyncDispose]();
});

standstill({
  name: "PostgreSQL, with the timeouts of the README",
  proxy: () => proxy,
  store() {
    const options = {
      ...database.server.connection,
      port: proxy.port,
      connectionTimeoutMillis: 2_000,
      query_timeout: 2_000,
    };
    return { module: import.meta.resolve("./open-store.ts"), options };
  },
});
