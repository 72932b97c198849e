import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import type { NewRecord } from "@lanai/session/store";
import { type PostgresPool, postgresStore } from "@lanai/session-postgres";
import type { Pool } from "pg";
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  onTestFinished,
  test,
  vi,
} from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { captureWarnings } from "../../../scripts/testing/warnings.ts";
import { age, type Database, fill, newTable, quietStore, startDatabase } from "./database.ts";

const MINUTE = 60_000;

let database: Database;
let pool: Pool;
let table: string;

beforeAll(async () => {
  database = await startDatabase({ fsync: "off" });
  pool = database.pool();
}, MINUTE);

afterAll(() => database[Symbol.asyncDispose]());

beforeEach(() => {
  table = newTable();
});

afterEach(() => vi.useRealTimers());

const record = (more: Partial<NewRecord> = {}): NewRecord => ({
  operation: randomUUID(),
  publicId: randomUUID(),
  values: new Map(),
  owners: new Set(),
  idle: MINUTE,
  absolute: MINUTE,
  ...more,
});

const count = async (name: string): Promise<number> => {
  const { rows } = await pool.query(`SELECT count(*)::int AS count FROM ${name}`);
  return rows[0].count;
};

describe("migrate", () => {
  test("creates the tables, also when many processes do at once, and again is harmless", async () => {
    const stores = Array.from({ length: 8 }, () => quietStore(database.pool(), { table }));
    await Promise.all(stores.map((store) => store.migrate()));
    await stores[0]?.create("ab.key", record());
    await Promise.all(stores.map((store) => store.migrate()));
    expect(await stores[1]?.load("ab.key")).toMatchObject({ status: "live" });
  });

  test("keeps two tables apart, and one in another schema", async () => {
    await pool.query("CREATE SCHEMA app");
    const stores = [table, `${table}_b`, "app.sessions", "app.order"].map((name) =>
      quietStore(pool, { table: name }),
    );
    for (const [n, store] of stores.entries()) {
      await store.migrate();
      await store.create(`ab.${n}`, record());
    }
    for (const [n, store] of stores.entries()) {
      for (const other of stores.keys()) {
        expect(await store.load(`ab.${other}`)).toMatchObject({
          status: other === n ? "live" : "none",
        });
      }
    }
  });
});

describe("the format", () => {
  test("is in a comment of the table, and tables of a later one are refused", async () => {
    const store = quietStore(pool, { table });
    await store.migrate();
    const commentOf = async () => {
      const query = "SELECT obj_description(to_regclass($1)) AS comment";
      return (await pool.query<{ comment: string }>(query, [table])).rows[0]?.comment;
    };
    expect(await commentOf()).toBe("@lanai/session-postgres, format 1");
    await pool.query(`COMMENT ON TABLE ${table} IS '@lanai/session-postgres, format 2'`);
    await expect(store.migrate()).rejects.toThrow(/format 2, of a later version/);
    expect(await commentOf()).toBe("@lanai/session-postgres, format 2");
    // As a table from before it had the comment, or with one of the app's.
    for (const comment of ["NULL", "'sessions of the shop'"]) {
      await pool.query(`COMMENT ON TABLE ${table} IS ${comment}`);
      await store.migrate();
    }
  });
});

describe("schema", () => {
  test("is what migrate runs, and may be run by hand, also twice", async () => {
    const store = quietStore(pool, { table });
    await pool.query(store.schema);
    await pool.query(store.schema);
    await store.create("ab.key", record());
    await store.migrate();
    expect(await store.load("ab.key")).toMatchObject({ status: "live" });
  });

  test("is in the file schema.sql", () => {
    const file = readFileSync(new URL("../schema.sql", import.meta.url), "utf8");
    expect(file).toBe(quietStore(pool).schema);
  });
});

describe("a key", () => {
  test("that one create asks for several times at once is given once, and answered each time", async () => {
    const stores = [pool, database.pool()].map((it) => quietStore(it, { table }));
    await stores[0]?.migrate();
    for (let round = 0; round < 20; round++) {
      const key = `ab.${round}`;
      const once = record();
      const keys = await Promise.all([...stores, ...stores].map((it) => it.create(key, once)));
      expect(keys).toEqual(Array(4).fill(key));
    }
    expect(await count(table)).toBe(20);
  });

  test("of a session that has expired is free before it is swept", async () => {
    const store = quietStore(pool, { table });
    await store.migrate();
    await store.create("ab.1", record());
    await store.create("ab.2", record());
    await age(pool, table, 2 * MINUTE);
    await store.create("ab.1", record({ values: new Map([["a", "new"]]) }));
    await store.commit("ab.1", { operation: "renewal", renewTo: "ab.2" });
    expect(await store.load("ab.2")).toMatchObject({ record: { values: new Map([["a", "new"]]) } });
  });

  test("of a session that was destroyed is free, also for the create that made it", async () => {
    const store = quietStore(pool, { table });
    await store.migrate();
    const once = record();
    await store.create("ab.key", once);
    await store.destroy("ab.key");
    expect(await store.load("ab.key")).toEqual({ status: "none" });
    expect(await store.create("ab.key", once)).toBe("ab.key");
    expect(await store.load("ab.key")).toMatchObject({ status: "live" });
  });
});

describe("a lock", () => {
  /** A pool of one connection, in a transaction that doesn't end. */
  const inTransaction = async () => {
    const client = await pool.connect();
    onTestFinished(() => client.release(true));
    await client.query("BEGIN");
    const { rows } = await client.query("SELECT pg_backend_pid() AS pid");
    const held: PostgresPool = {
      connect: async () => ({
        query: (query) => client.query(query),
        release() {},
        on() {},
        off() {},
      }),
      on() {},
      off() {},
    };
    return { held, pid: rows[0].pid };
  };

  test("is taken by a commit on its session's row alone, by a load on none, and on no table", async () => {
    const store = quietStore(pool, { table });
    await store.migrate();
    for (const key of ["ab.1", "ab.2", "ab.3"]) await store.create(key, record());
    const { held, pid } = await inTransaction();
    const holder = postgresStore(held, { table, sweepInterval: Infinity });
    const free = async () => {
      const { rows } = await pool.query(`SELECT key FROM ${table} FOR UPDATE SKIP LOCKED`);
      return rows.map(({ key }) => key).sort();
    };
    const modes = async () => {
      const { rows } = await pool.query(
        `SELECT DISTINCT mode FROM pg_locks WHERE locktype = 'relation' AND pid = ${pid}`,
      );
      return rows.map(({ mode }) => mode).sort();
    };

    await holder.load("ab.1");
    expect(await free()).toEqual(["ab.1", "ab.2", "ab.3"]);
    expect(await modes()).toEqual(["AccessShareLock"]);

    const change = { set: new Map([["a", "1"]]), addOwners: new Set(["user:ada"]) };
    await holder.commit("ab.1", { operation: "1", touch: true, renewTo: "ab.4", ...change });
    expect(await free()).toEqual(["ab.2", "ab.3"]);
    // The next stronger one, ShareUpdateExclusiveLock, would hold up autovacuum.
    expect(await modes()).toEqual(["AccessShareLock", "RowExclusiveLock", "RowShareLock"]);
  });
});

describe("sweep", () => {
  const filled = async (rows: number, idle: number) => {
    const store = quietStore(pool, { table });
    await store.migrate();
    await fill(pool, table, { rows, idle });
    return store;
  };

  test("deletes all that has expired, and nothing that lives, by two at once", async () => {
    const store = await filled(2500, -1);
    await fill(pool, table, { rows: 10, idle: MINUTE });
    const swept = await Promise.all([
      store.sweep(),
      quietStore(database.pool(), { table }).sweep(),
    ]);
    expect(swept[0] + swept[1]).toBe(2500);
    expect(await count(table)).toBe(10);
    expect(await store.sweep()).toBe(0);
  });

  test("forgets the keys of renewed sessions after their minute", async () => {
    const store = quietStore(pool, { table });
    await store.migrate();
    await store.create("ab.1", record({ idle: 60 * MINUTE, absolute: Infinity }));
    await store.commit("ab.1", { operation: "1", renewTo: "ab.2" });
    await age(pool, table, 50_000);
    await store.commit("ab.2", { operation: "2", renewTo: "ab.3" });
    await age(pool, table, 20_000);
    await store.sweep();
    expect(await count(`${table}_renewed`)).toBe(1);
    expect(await store.load("ab.2")).toEqual({ status: "renewed" });
    expect(await store.load("ab.3")).toMatchObject({ status: "live" });
  });

  test("waits for no one: what another transaction holds is left for later", async () => {
    const store = await filled(3, -1);
    const holder = await pool.connect();
    await holder.query(`BEGIN; SELECT * FROM ${table} LIMIT 1 FOR UPDATE`);
    expect(await store.sweep()).toBe(2);
    await holder.query("ROLLBACK");
    holder.release();
    expect(await store.sweep()).toBe(1);
  });

  test("runs by itself every minute, until the store is closed", async () => {
    await filled(3, -1);
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const store = postgresStore(pool, { table });
    vi.advanceTimersByTime(59_999);
    expect(await count(table)).toBe(3);
    vi.advanceTimersByTime(1);
    await until(async () => expect(await count(table)).toBe(0));
    store.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("that fails by itself is a warning, once until one succeeds", async () => {
    const warnings = captureWarnings();
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const sweeping = database.pool({ max: 1 });
    const store = postgresStore(sweeping, { table, sweepInterval: 1000 });
    const released = vi.fn();
    sweeping.on("release", released);
    const rounds = async (count: number) => {
      for (let round = 0; round < count; round++) {
        const before = released.mock.calls.length;
        vi.advanceTimersByTime(1000);
        await until(() => expect(released.mock.calls.length).toBeGreaterThan(before));
        await new Promise(setImmediate);
      }
    };
    await rounds(2);
    expect(warnings).toEqual([expect.stringContaining("call `await store.migrate()`")]);
    await store.migrate();
    await rounds(1);
    await pool.query(`DROP TABLE ${table}`);
    await rounds(2);
    expect(warnings).toHaveLength(2);
    store.close();
  });
});

describe("an owner's sessions", () => {
  test("are found by the index, whatever the planner knows of the values", async () => {
    const store = quietStore(pool, { table });
    await store.migrate();
    await fill(pool, table, { rows: 20_000, idle: MINUTE, owner: "'user:' || n / 2" });
    await pool.query(`ANALYZE ${table}`);
    const client = await pool.connect();
    await client.query(`SET plan_cache_mode = force_generic_plan;
      PREPARE find(text) AS SELECT public_id FROM ${table}
      WHERE owners @> ARRAY[$1::text] AND expires_at > 0`);
    const { rows } = await client.query("EXPLAIN (FORMAT JSON) EXECUTE find('user:7')");
    client.release(true);
    expect(JSON.stringify(rows)).toContain("Bitmap Index Scan");
    expect(await store.list("user:7")).toHaveLength(2);
    expect(await store.destroyAll("user:7")).toHaveLength(2);
  });

  test("are ended by those who end other owners' too, without a deadlock", async () => {
    const store = quietStore(pool, { table });
    const other = quietStore(database.pool(), { table });
    await store.migrate();
    const deadlocks = async () => {
      const { rows } = await pool.query("SELECT sum(deadlocks)::int AS n FROM pg_stat_database");
      return rows[0].n;
    };
    const before = await deadlocks();
    for (let round = 0; round < 20; round++) {
      for (let n = 0; n < 10; n++) {
        const owners = new Set(["user:ada", "client:1"]);
        await store.create(`ab.${round}.${n}`, record({ owners }));
      }
      const ended = await Promise.all([
        store.destroyAll("user:ada"),
        other.destroyAll("client:1"),
        store.destroyAll("client:1"),
        other.destroyAll("user:ada"),
      ]);
      expect(ended.flat()).toHaveLength(10);
    }
    expect(await deadlocks()).toBe(before);
  });
});
