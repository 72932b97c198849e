import { storeConformance } from "@lanai/session/testing";
import { fromExpressStore } from "@lanai/session-compat";
import connectPgSimple from "connect-pg-simple";
import expressSession from "express-session";
import { Pool } from "pg";
import { afterAll, beforeAll, test } from "vitest";
import { type PostgresServer, startPostgres } from "../../../scripts/services/postgres.ts";

const PgStore = connectPgSimple(expressSession);

let server: PostgresServer;
let pool: Pool;

beforeAll(async () => {
  server = await startPostgres();
  pool = new Pool({ ...server.connection, max: 1 });
  const store = new PgStore({ pool, createTableIfMissing: true });
  await new Promise<void>((resolve, reject) => {
    store.get("none", (error) => (error ? reject(error) : resolve()));
  });
});

afterAll(async () => {
  await pool.end();
  await server.stop();
});

/** Two stores on one connection, so that what two processes send is mixed in the same way each time. */
const opened = (processes: 1 | 2) => () => {
  let now = Date.now();
  const clock = () => now;
  const wrapped = () => fromExpressStore(new PgStore({ pool }), { clock });
  const store = wrapped();
  return {
    store,
    again: processes === 1 ? store : wrapped(),
    advance(ms: number) {
      now += ms;
    },
  };
};

storeConformance({ name: "connect-pg-simple", test, open: opened(1), limits: ["index"] });

storeConformance({
  name: "connect-pg-simple, two processes",
  test,
  open: opened(2),
  limits: ["index", "final", "merge", "once"],
});
