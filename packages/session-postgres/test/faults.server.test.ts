import { randomUUID } from "node:crypto";
import { inspect } from "node:util";
import type { Change, Key, NewRecord } from "@lanai/session/store";
import type { PostgresStoreOptions } from "@lanai/session-postgres";
import type { Pool, PoolConfig } from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "../../session/test/http.ts";
import { type Database, newTable, quietStore, startDatabase } from "./database.ts";
import { heapUsed } from "./heap.ts";
import { type CuttingProxy, startProxy } from "./proxy.ts";
import { type Site, site } from "./site.ts";

/** What the README asks for, only shorter. */
const TIMEOUTS = { connectionTimeoutMillis: 2_000, query_timeout: 2_000 };
const STORE_TIMEOUT = 1_500;
const MINUTE = 60_000;

let database: Database;
/** The tests' own connection to the database. */
let admin: Pool;
let table: string;
let disposables: AsyncDisposable[];

beforeAll(async () => {
  database = await startDatabase();
  admin = database.pool({ max: 3 });
  // Who kills the server breaks it too.
  admin.on("error", () => {});
});

afterAll(() => database[Symbol.asyncDispose]());

beforeEach(async () => {
  disposables = [];
  table = newTable();
  await quietStore(admin, { table }).migrate();
});

afterEach(async () => {
  vi.useRealTimers();
  for (const it of disposables) await it[Symbol.asyncDispose]();
  // What a test that failed has left behind is not the next one's trouble.
  database.server.thaw();
  await admin.query("SELECT 1").catch(() => database.server.restart());
});

const opened = async (
  pool: Pool,
  options: { storeTimeout?: number; idleTimeout?: number } = {},
  routes: Parameters<typeof site>[1] = {},
  storeOptions: PostgresStoreOptions = {},
): Promise<Site> => {
  const store = quietStore(pool, { table, ...storeOptions });
  const it = await site({ store, ...options }, routes);
  disposables.push(it);
  return it;
};

const proxied = async (): Promise<CuttingProxy> => {
  const proxy = await startProxy(database.server.port);
  disposables.push(proxy);
  return proxy;
};

/** A browser that has signed in. */
const visitor = async (at: Site): Promise<Browser> => {
  const browser = new Browser(at);
  expect(await browser.text("/login")).toBe("in");
  return browser;
};

const expectUnavailable = (response: Response) => {
  expect(response.status).toBe(503);
  expect(response.headers.getSetCookie()).toEqual([]);
};

/** Holds all sessions of the table, so that a commit waits, until it lets go. */
const locked = async (): Promise<AsyncDisposable> => {
  const client = await admin.connect();
  client.on("error", () => {});
  await client.query(`BEGIN; SELECT * FROM ${table} FOR UPDATE`);
  return { [Symbol.asyncDispose]: async () => client.release(true) };
};

const waitingForLock = () =>
  until(async () => {
    const { rows } = await admin.query("SELECT pid FROM pg_locks WHERE NOT granted");
    expect(rows).not.toHaveLength(0);
  });

const newRecord = (record: Partial<NewRecord> = {}): NewRecord => ({
  operation: randomUUID(),
  publicId: randomUUID(),
  values: new Map(),
  owners: new Set(),
  idle: 30 * MINUTE,
  absolute: 60 * MINUTE,
  ...record,
});

const change = (changes: Partial<Change>): Change => ({ operation: randomUUID(), ...changes });

const newKey = (): Key => `ab.${randomUUID()}`;

describe("a server that is killed", () => {
  test("before the load: 503 and no cookie, and all is there when it is back", async () => {
    const at = await opened(database.pool(TIMEOUTS));
    const browser = await visitor(at);
    await browser.get("/set?n=1");
    await database.server.kill();
    expectUnavailable(await browser.get("/read"));
    expectUnavailable(await new Browser(at).get("/login"));
    expect(at.errors).toMatchObject([
      { code: "ERR_SESSION_STORE_UNAVAILABLE", cause: expect.any(Error) },
      { code: "ERR_SESSION_STORE_UNAVAILABLE", cause: { code: "ECONNREFUSED" } },
    ]);
    await database.server.restart();
    expect(await browser.text("/read")).toBe("ada: 1");
  });

  test("between load and commit: 503, no cookie, and nothing was stored", async () => {
    const at = await opened(
      database.pool(TIMEOUTS),
      {},
      {
        "/late": async (ctx) => {
          ctx.session.set("n", "2");
          ctx.session.renewId();
          await database.server.kill();
        },
      },
    );
    const browser = await visitor(at);
    expectUnavailable(await browser.get("/late"));
    await database.server.restart();
    expect(await browser.text("/read")).toBe("ada: 0");
  });

  test.each(["SIGKILL", "SIGQUIT", "SIGINT"] as const)(
    "during the commit, by %s: 503, no cookie, and nothing was stored",
    async (signal) => {
      const at = await opened(database.pool());
      const browser = await visitor(at);
      await using _lock = await locked();
      const writing = browser.get("/set?n=2");
      await waitingForLock();
      await database.server.kill(signal);
      expectUnavailable(await writing);
      await database.server.restart();
      expect(await browser.text("/read")).toBe("ada: 0");
    },
  );
});

describe("a server that is frozen", () => {
  test("is 503 within the store's time-out, and what was asked goes on when it is back", async () => {
    const at = await opened(database.pool(), { storeTimeout: STORE_TIMEOUT });
    const browser = await visitor(at);
    await database.server.freeze();
    // Nothing but the time-out can end this while the server stands still.
    expectUnavailable(await browser.get("/read"));
    database.server.thaw();
    await until(async () => expect(await browser.text("/read")).toBe("ada: 0"));
  });

  test.each<[string, PoolConfig, PostgresStoreOptions]>([
    ["by the time-outs of the pool", { ...TIMEOUTS, max: 4 }, {}],
    ["by maxWaiting, with a pool as it is by default", {}, { maxWaiting: 100 }],
  ])("doesn't fill the memory with requests that wait, %s", async (_how, config, options) => {
    const pool = database.pool(config);
    const at = await opened(pool, { storeTimeout: STORE_TIMEOUT }, {}, options);
    const browser = await visitor(at);
    await database.server.freeze();
    const round = async () => {
      at.errors.length = 0;
      const answers = await Promise.all(Array.from({ length: 500 }, () => browser.get("/read")));
      for (const answer of answers) {
        expectUnavailable(answer);
        await answer.text();
      }
      await until(() => expect(pool.waitingCount).toBeLessThan(100));
      return heapUsed();
    };
    const first = await round();
    let last = first;
    for (let rounds = 0; rounds < 6; rounds++) last = await round();
    // 3,000 requests that wait would take about 15 MB.
    expect(last - first).toBeLessThan(8_000_000);

    database.server.thaw();
    await until(async () => expect(await browser.text("/read")).toBe("ada: 0"));
    await until(() => expect(pool.waitingCount).toBe(0));
  });

  test("is waited for by as many as maxWaiting, and the others are refused at once", async () => {
    const at = await opened(
      database.pool(),
      { storeTimeout: STORE_TIMEOUT },
      {},
      { maxWaiting: 20 },
    );
    const browser = await visitor(at);
    await database.server.freeze();
    await Promise.all(Array.from({ length: 50 }, () => browser.get("/read")));
    const causes = at.errors.map(({ cause }) => String(cause));
    const told = (what: string) => causes.filter((cause) => cause.includes(what));
    expect(told("no answer within 1500 ms")).toHaveLength(20);
    expect(
      told("20 replies of PostgreSQL are outstanding: that is the limit maxWaiting"),
    ).toHaveLength(30);
    database.server.thaw();
    await until(async () => expect(await browser.text("/read")).toBe("ada: 0"));
  });
});

describe("a server that has lost its data", () => {
  test.each<[string, () => Promise<unknown>]>([
    ["all rows", () => admin.query(`TRUNCATE ${table}, ${table}_renewed`)],
    [
      "its tables, and has them anew after a restart",
      async () => {
        await database.server.restart();
        await admin.query(`DROP TABLE ${table}, ${table}_renewed`);
        await quietStore(admin, { table }).migrate();
      },
    ],
  ])("(%s): who was signed in is anonymous, and signs in again", async (_what, lose) => {
    const at = await opened(database.pool());
    const [browser, other] = [await visitor(at), await visitor(at)];
    await lose();
    const response = await browser.get("/read");
    expect(response.status).toBe(200);
    expect(response.headers.getSetCookie()).toEqual([]);
    expect(await response.text()).toBe("undefined: 0");
    expect(await other.text("/set?n=1")).toBe("set");
    expect(await other.text("/read")).toBe("undefined: 1");
    expect(await browser.text("/login")).toBe("in");
    expect(await browser.text("/read")).toBe("ada: 0");
    expect(at.errors).toEqual([]);
  });
});

describe("a pool", () => {
  test("that is exhausted is 503, until a connection is free", async () => {
    const pool = database.pool({ ...TIMEOUTS, max: 1 });
    const at = await opened(pool);
    const browser = await visitor(at);
    const taken = await pool.connect();
    expectUnavailable(await browser.get("/read"));
    expect(pool.waitingCount).toBe(0);
    taken.release();
    expect(await browser.text("/read")).toBe("ada: 0");
  });

  test("that many stores use gets one listener for each new connection", async () => {
    const pool = database.pool();
    for (let n = 0; n < 20; n++) quietStore(pool, { table });
    const counts: number[] = [];
    pool.on("connect", (client) => void counts.push(client.listenerCount("error")));
    await pool.query("SELECT 1");
    const one = database.pool();
    quietStore(one, { table });
    one.on("connect", (client) => void counts.push(client.listenerCount("error")));
    await one.query("SELECT 1");
    expect(counts[0]).toBe(counts[1]);
  });

  test("whose idle connections end goes on with new ones, also if the app doesn't listen", async () => {
    const at = await opened(database.pool());
    const browser = await visitor(at);
    await Promise.all([browser.get("/read"), browser.get("/read")]);
    const { rowCount } = await admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND state = 'idle'`,
    );
    expect(rowCount).toBeGreaterThan(0);
    await until(async () => expect(await browser.text("/read")).toBe("ada: 0"));
  });

  test("whose connection ends during a commit: 503, and the next one is new", async () => {
    const at = await opened(database.pool());
    const browser = await visitor(at);
    await using _lock = await locked();
    const writing = browser.get("/set?n=2");
    await waitingForLock();
    await admin.query("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted");
    expectUnavailable(await writing);
    expect(await browser.text("/read")).toBe("ada: 0");
  });

  test("keeps a connection on which a statement was refused", async () => {
    const pool = database.pool();
    const store = quietStore(pool, { table });
    const key = newKey();
    await store.create(key, newRecord());
    const removed = vi.fn();
    pool.on("remove", removed);
    await expect(store.create(key, newRecord())).rejects.toThrow("in use");
    const [other, renewTo] = [newKey(), newKey()];
    await store.create(other, newRecord());
    await store.create(renewTo, newRecord());
    await expect(store.commit(other, change({ renewTo }))).rejects.toMatchObject({
      code: "ERR_SESSION_KEY_TAKEN",
    });
    expect(removed).not.toHaveBeenCalled();
  });
});

describe("a session that another transaction holds", () => {
  test("can be read, and is 503 to write; the connection that waits is given up", async () => {
    const at = await opened(database.pool({ ...TIMEOUTS, max: 1 }), {
      storeTimeout: STORE_TIMEOUT,
    });
    const browser = await visitor(at);
    await using _lock = await locked();
    expect(await browser.text("/read")).toBe("ada: 0");
    expectUnavailable(await browser.get("/set?n=2"));
    await until(async () => expect(await browser.text("/read")).toBe("ada: 0"));
  });
});

describe("a connection that breaks", () => {
  test.each([
    ["before the server heard of the commit", "request", "1"],
    ["after the server applied it", "reply", "2"],
    ["in the middle of the answer", "half", "2"],
  ] as const)("%s: 503, no cookie, and the app goes on", async (_when, where, next) => {
    const proxy = await proxied();
    const at = await opened(
      database.pool({ port: proxy.port }),
      {},
      {
        "/cut": async (ctx) => {
          proxy.cut(where);
          return ctx.session.update("n", (n) => Number(n ?? 0) + 1);
        },
      },
    );
    const browser = await visitor(at);
    expectUnavailable(await browser.get("/cut"));
    expect(await browser.text("/count")).toBe(next);
  });

  test.each(["request", "reply", "half"] as const)(
    "at the %s: the same operation once more is applied once",
    async (where) => {
      const proxy = await proxied();
      const store = quietStore(database.pool({ port: proxy.port }), { table });
      const [key, renewTo] = [newKey(), newKey()];
      const record = newRecord({ values: new Map([["message", "hello"]]) });

      proxy.cut(where);
      await expect(store.create(key, record)).rejects.toThrow();
      expect(await store.create(key, record)).toBe(key);

      const pop = change({
        renewTo,
        delete: new Set(["message"]),
        expect: new Map([["message", "hello"]]),
      });
      proxy.cut(where);
      await expect(store.commit(key, pop)).rejects.toThrow();
      expect(await store.commit(key, pop)).toEqual({ status: "saved", key: renewTo });
    },
  );
});

describe("a database that is not ready", () => {
  test("lacks the table: 503, and the cause names migrate()", async () => {
    table = newTable();
    const pool = database.pool();
    const at = await opened(pool);
    expectUnavailable(await new Browser(at).get("/login"));
    const [error] = at.errors;
    expect(error?.cause).toMatchObject({ code: "42P01" });
    expect(String(error?.cause)).toContain(
      `"${table}" does not exist: call \`await store.migrate()\``,
    );
    await quietStore(pool, { table }).migrate();
    await visitor(at);
  });

  test("has another program's table of that name: an error says so, and the table stays", async () => {
    table = newTable();
    await admin.query(`CREATE TABLE ${table} AS SELECT 1 AS id, 'theirs' AS data`);
    const pool = database.pool();
    const refusal = {
      code: "42703",
      message: expect.stringContaining("give the store one of its own by its option `table`"),
    };
    await expect(quietStore(pool, { table }).migrate()).rejects.toMatchObject(refusal);
    const at = await opened(pool);
    expectUnavailable(await new Browser(at).get("/login"));
    expect(at.errors[0]?.cause).toMatchObject(refusal);
    const { rows } = await admin.query(
      `SELECT *, to_regclass('${table}_renewed') AS ours FROM ${table}`,
    );
    expect(rows).toEqual([{ id: 1, data: "theirs", ours: null }]);
  });

  test("gives the role too few rights: 503, and the cause says which it needs", async () => {
    const browser = await visitor(await opened(admin));
    const role = newTable();
    await admin.query(
      `CREATE ROLE ${role} LOGIN; GRANT SELECT ON ${table}, ${table}_renewed TO ${role}`,
    );
    const at = await opened(database.pool({ user: role }));
    const reader = new Browser(at);
    reader.cookies.set("sid", browser.cookies.get("sid") as string);
    expect(await reader.text("/read")).toBe("ada: 0");
    expectUnavailable(await reader.get("/set?n=1"));
    expect(String(at.errors[0]?.cause)).toContain("SELECT, INSERT, UPDATE and DELETE");
  });

  test("lets a role with just those rights do everything but create tables", async () => {
    const role = newTable();
    await admin.query(
      `CREATE ROLE ${role} LOGIN;
      GRANT SELECT, INSERT, UPDATE, DELETE ON ${table}, ${table}_renewed TO ${role}`,
    );
    const pool = database.pool({ user: role });
    const at = await opened(pool);
    const browser = await visitor(at);
    await browser.get("/set?n=1");
    await browser.get("/login");
    expect(await browser.text("/read")).toBe("ada: 1");
    expect(await browser.text("/logout")).toBe("out");
    const store = quietStore(pool, { table });
    await store.sweep();
    await store.migrate();
    await expect(quietStore(pool, { table: newTable() }).migrate()).rejects.toMatchObject({
      code: "42501",
    });
  });

  test("is not in UTF-8: migrate() refuses it", async () => {
    const latin = newTable();
    await admin.query(`CREATE DATABASE ${latin} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`);
    const store = quietStore(database.pool({ database: latin }));
    await expect(store.migrate()).rejects.toThrow("must be encoded in UTF8, it is in LATIN1");
  });
});

describe("an error", () => {
  test("holds no key, no value and no owner", async () => {
    const store = quietStore(database.pool(), { table });
    const absent = quietStore(database.pool(), { table: newTable() });
    const [key, other] = [newKey(), newKey()];
    const values = new Map([["secret-name", "secret-value"]]);
    const owners = new Set(["secret-owner"]);
    await store.create(key, newRecord({ publicId: "secret-public", values, owners }));
    await store.create(other, newRecord());
    const refused = new Map([["secret-name", "secret-value\0"]]);
    const failing = [
      store.create(key, newRecord({ publicId: "secret-public", values, owners })),
      store.create(newKey(), newRecord({ publicId: "secret-public", values, owners })),
      store.create(newKey(), newRecord({ values: refused })),
      store.commit(key, change({ renewTo: other })),
      store.commit(key, change({ set: refused })),
      store.list("secret-owner\0"),
      absent.create(key, newRecord({ values, owners })),
      absent.commit(key, change({ set: values, addOwners: owners })),
      absent.destroyAll("secret-owner"),
    ];
    for (const result of await Promise.allSettled(failing)) {
      expect(result.status).toBe("rejected");
      const shown = inspect((result as PromiseRejectedResult).reason, {
        depth: null,
        showHidden: true,
      });
      expect(shown).not.toMatch(/secret/);
      expect(shown).not.toContain(key);
      expect(shown).not.toContain(other);
    }
  });
});

describe("clocks", () => {
  test.each([-2, 2])("of the app that are off by %i minutes change nothing", async (minutes) => {
    const at = await opened(database.pool(), { idleTimeout: MINUTE });
    const browser = await visitor(at);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + minutes * MINUTE });
    expect(await browser.text("/read")).toBe("ada: 0");
    expect(await browser.text("/set?n=1")).toBe("set");
    const other = await visitor(at);
    vi.useRealTimers();
    expect(await browser.text("/read")).toBe("ada: 1");
    expect(await other.text("/read")).toBe("ada: 0");
  });
});
