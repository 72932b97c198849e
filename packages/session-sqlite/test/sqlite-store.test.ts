import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { text } from "node:stream/consumers";
import { fileURLToPath, pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { isPaged } from "@lanai/session/store";
import { type SqliteStoreOptions, sqliteStore } from "@lanai/session-sqlite";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { connect, newFile, newFolder, rowsOf } from "./files.ts";
import { change, holding, newKey, owned, record, setting } from "./records.ts";

const opened = (
  target: Parameters<typeof sqliteStore>[0] = newFile(),
  options: SqliteStoreOptions = {},
) => {
  const store = sqliteStore(target, options);
  onTestFinished(() => store.close());
  return store;
};

test("can go through all of its sessions", () => {
  expect(isPaged(opened())).toBe(true);
});

test("a database of the app's, or one in memory, gets no table of the reserve, nor a file beside it", () => {
  const file = newFile();
  for (const database of [new DatabaseSync(file), new DatabaseSync(":memory:")]) {
    opened(database);
    const tables = database.prepare("SELECT name FROM sqlite_master").all();
    expect(tables.map(({ name }) => name)).toContain("sessions");
    expect(tables.map(({ name }) => name)).not.toContain("lanai_reserve");
  }
  expect(existsSync(`${file}-reserve`)).toBe(false);
});

describe("answers", () => {
  test("come at once, without a promise", () => {
    const store = opened();
    const key = newKey();
    expect(store.create(key, owned("ada"))).toBe(key);
    expect(store.load(key)).toMatchObject({ status: "live" });
    expect(store.commit(key, change({ touch: true }))).toEqual({ status: "saved", key });
    expect(store.list("ada")).toHaveLength(1);
    expect(store.destroyByPublicId("ada", "unknown")).toBeUndefined();
    expect(store.destroyAll("ada")).toHaveLength(1);
    expect(store.destroy(key)).toBeUndefined();
    expect(store.close()).toBeUndefined();
  });

  test("of failure are thrown at once", async () => {
    const store = opened();
    const key = newKey();
    await store.create(key, record());
    expect(() => store.create(key, record())).toThrow(
      expect.objectContaining({ name: "SessionError", code: "ERR_SESSION_KEY_TAKEN" }),
    );
  });
});

describe("a database", () => {
  test("is created with its tables at a path, and keeps the sessions when it is closed", async () => {
    const file = newFile();
    const [first, key] = [sqliteStore(file), newKey()];
    await first.create(key, owned("ada"));
    first.close();
    const second = opened(file);
    expect(second.load(key)).toMatchObject({ status: "live" });
    expect(second.list("ada")).toHaveLength(1);
  });

  test("is named by a URL too", async () => {
    const file = newFile();
    const key = newKey();
    await opened(pathToFileURL(file)).create(key, record());
    expect(opened(file).load(key)).toMatchObject({ status: "live" });
  });

  test("in memory is one for each store", async () => {
    const [one, other, key] = [opened(":memory:"), opened(":memory:"), newKey()];
    await one.create(key, record());
    expect(other.load(key)).toEqual({ status: "none" });
  });

  test("that the store opens has a write-ahead log", () => {
    const file = newFile();
    opened(file);
    expect(connect(file).prepare("PRAGMA journal_mode").get()).toEqual({ journal_mode: "wal" });
  });

  test("that the app has opened is used as it is, and left open", async () => {
    const database = connect(newFile());
    database.exec("PRAGMA synchronous = EXTRA");
    const store = sqliteStore(database);
    const key = newKey();
    await store.create(key, record());
    expect(database.prepare("PRAGMA journal_mode").get()).toEqual({ journal_mode: "delete" });
    expect(database.prepare("PRAGMA synchronous").get()).toEqual({ synchronous: 3 });
    store.close();
    store.close();
    expect(rowsOf(database)).toMatchObject({ sessions: 1 });
  });

  test("that the app has opened is configured by it afterwards too", async () => {
    const file = newFile();
    const database = connect(file);
    const [store, key] = [opened(database), newKey()];
    await store.create(key, holding("1"));

    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -500");
    expect(store.load(key)).toMatchObject({ record: { values: new Map([["v", "1"]]) } });
    expect(store.commit(key, setting("2"))).toEqual({ status: "saved", key });
    expect(store.create(newKey(), owned("ada"))).toBeTypeOf("string");
    expect(store.list("ada")).toHaveLength(1);

    expect(database.prepare("PRAGMA journal_mode").get()).toEqual({ journal_mode: "wal" });
    expect(database.prepare("PRAGMA synchronous").get()).toEqual({ synchronous: 2 });
    expect(database.prepare("PRAGMA cache_size").get()).toEqual({ cache_size: -500 });
    expect(opened(file).load(key)).toMatchObject({ record: { values: new Map([["v", "2"]]) } });
  });

  test("may hold several tables of sessions, which don't know of each other", async () => {
    const database = connect(newFile());
    const [one, other, key] = [opened(database), opened(database, { table: "_Other1" }), newKey()];
    await one.create(key, owned("ada"));
    expect(other.load(key)).toEqual({ status: "none" });
    expect(other.list("ada")).toEqual([]);
    await other.create(key, holding("other"));
    expect(one.load(key)).toMatchObject({ record: { values: new Map() } });
  });

  test("keeps its index when a session is deleted by hand", async () => {
    const file = newFile();
    const [store, database] = [opened(file), connect(file)];
    await store.create(newKey(), owned("ada", "nul\0nul", 'quote"\\'));
    const key = newKey();
    await store.create(key, owned("ada"));
    await store.commit(key, change({ renewTo: newKey() }));
    expect(rowsOf(database)).toMatchObject({ sessions: 2, owners: 4, oldKeys: 1 });
    database.exec("DELETE FROM sessions");
    expect(rowsOf(database)).toMatchObject({ sessions: 0, owners: 0, oldKeys: 0 });
  });
});

describe("construction fails", () => {
  const unavailable = (message: string) =>
    expect.objectContaining({
      name: "SessionError",
      code: "ERR_SESSION_STORE_UNAVAILABLE",
      message: expect.stringContaining(message),
    });

  test("for a path in a folder that isn't there", () => {
    const file = join(newFolder(), "missing", "sessions.db");
    expect(() => sqliteStore(file)).toThrow(unavailable(file));
    expect(() => sqliteStore(file)).toThrow(unavailable("unable to open database file"));
  });

  test("for a path that is a folder", () => {
    expect(() => sqliteStore(newFolder())).toThrow(unavailable("unable to open database file"));
  });

  test("for a file that is no database", () => {
    const file = newFile();
    writeFileSync(file, "a diary, of some length".repeat(100));
    expect(() => sqliteStore(file)).toThrow(unavailable("file is not a database"));
    expect(readFileSync(file, "utf8")).toContain("a diary");
  });

  test("for a database that can't be written, though its tables are there", () => {
    const file = newFile();
    opened(file);
    const database = new DatabaseSync(file, { readOnly: true });
    onTestFinished(() => database.close());
    expect(() => sqliteStore(database)).toThrow(unavailable("readonly database"));
  });

  test("for tables of a later format, which stay as they are", () => {
    const file = newFile();
    sqliteStore(file).close();
    const database = connect(file);
    const formats = () => database.prepare("SELECT version FROM sessions_format").all();
    expect(formats()).toEqual([{ version: 1 }]);
    database.exec("UPDATE sessions_format SET version = 2");
    expect(() => sqliteStore(file)).toThrow(/format 2, of a later version/);
    expect(formats()).toEqual([{ version: 2 }]);
  });

  test("for another program's table of the same name, which stays as it is", () => {
    const file = newFile();
    const database = connect(file);
    database.exec("CREATE TABLE sessions (id TEXT, data TEXT)");
    expect(() => sqliteStore(file)).toThrow(unavailable('table "sessions"'));
    const names = database.prepare("SELECT name FROM sqlite_schema").all();
    expect(names).toEqual([{ name: "sessions" }]);
    expect(opened(file, { table: "web_sessions" }).load(newKey())).toEqual({ status: "none" });
  });

  test("inside a transaction of the app, and leaves that as it is", () => {
    const database = connect(newFile());
    database.exec("BEGIN; CREATE TABLE orders (n)");
    expect(() => sqliteStore(database, { busyTimeout: 0 })).toThrow(unavailable("transaction"));
    database.exec("COMMIT");
    expect(database.prepare("SELECT name FROM sqlite_schema").all()).toEqual([{ name: "orders" }]);
  });

  test.each<[string, unknown, unknown, string]>([
    ["an empty path", "", {}, "a path, a URL or a DatabaseSync, got an empty string"],
    ["no path", undefined, {}, "a path, a URL or a DatabaseSync, got undefined"],
    ["a foreign database", { prepare() {} }, {}, "a path, a URL or a DatabaseSync, got object"],
    ["no options", ":memory:", null, "the options must be an object"],
    ["an unknown option", ":memory:", { ttl: 1 }, 'no option "ttl": its options are table, busy'],
    ["a table with a quote", ":memory:", { table: 'a"b' }, 'letters, digits and _, got "a\\"b"'],
    ["a table that begins with a digit", ":memory:", { table: "1" }, 'digits and _, got "1"'],
    ["a table with too long a name", ":memory:", { table: "a".repeat(65) }, "at most 64 letters"],
    ["no table", ":memory:", { table: "" }, "table must be a name"],
    [
      "a busyTimeout below 0",
      ":memory:",
      { busyTimeout: -1 },
      "a number of milliseconds from 0 to 60000, got -1",
    ],
    ["no busyTimeout", ":memory:", { busyTimeout: Number.NaN }, "got NaN"],
    ["an endless busyTimeout", ":memory:", { busyTimeout: Infinity }, "got Infinity"],
    ["a busyTimeout in text", ":memory:", { busyTimeout: "2000" }, "got string"],
    ["a short sweepInterval", ":memory:", { sweepInterval: 999 }, "from 1000 to 86400000"],
    ["a long sweepInterval", ":memory:", { sweepInterval: 86_400_001 }, "got 86400001"],
    ["a sweepInterval in text", ":memory:", { sweepInterval: "60000" }, "got string"],
    ["a clock that is none", ":memory:", { clock: 1 }, "clock must be a function, got number"],
  ])("for %s", (_, target, options, message) => {
    const build = () => sqliteStore(target as string, options as SqliteStoreOptions);
    expect(build).toThrow(message);
    expect(build).toThrow(/^sqliteStore: /);
    expect(build).toThrow(
      expect.objectContaining({ name: expect.stringMatching(/^(Type|Range)/) }),
    );
  });
});

test("without node:sqlite, as on Node 20, the error says which Node is needed", async () => {
  const script = `import { sqliteStore } from "@lanai/session-sqlite";
    try { sqliteStore(":memory:"); } catch (error) { console.log(error.code, error.message); }`;
  const child = spawn(
    process.execPath,
    ["--conditions=@lanai/source", "--no-experimental-sqlite", "--input-type=module", "-e", script],
    { cwd: fileURLToPath(new URL(".", import.meta.url)) },
  );
  expect(await text(child.stdout)).toMatch(
    /^ERR_SESSION_STORE_UNAVAILABLE sqliteStore needs Node 22\.13 or later, .*this is Node \d+\./,
  );
});

describe("a full disk", () => {
  /** A database that may not grow beyond what it has. */
  const full = () => {
    const database = connect(newFile());
    const store = opened(database);
    const pages = () => Number(database.prepare("PRAGMA page_count").get()?.page_count);
    const allow = (count: number) => database.exec(`PRAGMA max_page_count = ${count}`);
    return { database, store, fill: () => allow(pages()), empty: () => allow(1_000_000) };
  };
  const large = "x".repeat(50_000);

  test("refuses a write whole, and the session is as it was", async () => {
    const { database, store, fill } = full();
    const [key, taken] = [newKey(), newKey()];
    await store.create(key, record({ owners: new Set(["ada"]), values: new Map([["v", "1"]]) }));
    const before = await store.load(key);
    fill();
    const login = change({
      set: new Map([["v", large]]),
      renewTo: taken,
      addOwners: new Set(["bob"]),
      touch: true,
    });
    expect(() => store.commit(key, login)).toThrow("database or disk is full");
    expect(() => store.create(newKey(), holding(large))).toThrow("database or disk is full");

    expect(store.load(key)).toMatchObject({ ...before, now: expect.any(Number) });
    expect(store.load(taken)).toEqual({ status: "none" });
    expect(store.list("ada")).toHaveLength(1);
    expect(store.list("bob")).toEqual([]);
    expect(rowsOf(database)).toMatchObject({ sessions: 1, owners: 1, oldKeys: 0 });
  });

  test("still lets sessions end, and takes writes again when there is room", async () => {
    const { store, fill, empty } = full();
    const [one, other] = [newKey(), newKey()];
    await store.create(one, owned("ada"));
    await store.create(other, owned("ada"));
    fill();
    const write = setting(large);
    expect(() => store.commit(one, write)).toThrow("full");
    expect(store.destroy(other)).toBeDefined();
    empty();
    // The same operation as before: it was not applied then.
    expect(store.commit(one, write)).toEqual({ status: "saved", key: one });
    expect(store.load(one)).toMatchObject({ record: { values: new Map([["v", large]]) } });
  });
});

test("while nothing can be written, reads go on, and all goes on afterwards", async () => {
  const database = connect(newFile());
  const [store, key] = [opened(database), newKey()];
  await store.create(key, owned("ada"));
  database.exec("PRAGMA query_only = ON");
  for (const write of [
    () => store.create(newKey(), record()),
    () => store.commit(key, setting("2")),
    () => store.destroy(key, "one"),
    () => store.destroyAll("ada", { operation: "all" }),
  ]) {
    expect(write).toThrow("attempt to write a readonly database");
  }
  expect(store.load(key)).toMatchObject({ status: "live" });
  expect(store.list("ada")).toHaveLength(1);
  database.exec("PRAGMA query_only = OFF");
  expect(store.destroy(key, "one")).toBeDefined();
});

describe("a damaged", () => {
  test.each(["not JSON", '{"v":"1"}', '["v"]', '["v",1]', ""])(
    "row (%s) is an error, not an end; it is in no list, and can be ended",
    async (entries) => {
      const file = newFile();
      const [store, key] = [opened(file), newKey()];
      await store.create(key, owned("ada"));
      connect(file).prepare("UPDATE sessions SET entries = ?").run(entries);
      const undecodable = expect.objectContaining({ code: "ERR_SESSION_DECODE" });
      expect(() => store.load(key)).toThrow(undecodable);
      expect(() => store.commit(key, setting("1"))).toThrow(undecodable);
      expect(store.list("ada")).toEqual([]);
      expect(store.destroyAll("ada")).toHaveLength(1);
      expect(store.load(key)).toEqual({ status: "none" });
    },
  );

  test("list of owners is refused by the table", async () => {
    const file = newFile();
    const [store, key] = [opened(file), newKey()];
    await store.create(key, owned("ada"));
    expect(() => connect(file).exec("UPDATE sessions SET owners = 'ada'")).toThrow("CHECK");
    expect(store.list("ada")).toHaveLength(1);
  });

  test("file is an error, not an end of sessions", async () => {
    const file = newFile();
    const [first, key] = [sqliteStore(file), newKey()];
    await first.create(key, holding("x".repeat(20_000)));
    first.close();
    const store = opened(file, { sweepInterval: Infinity });
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.fill(0xff, 4096));
    expect(() => store.load(key)).toThrow(expect.objectContaining({ code: "ERR_SQLITE_ERROR" }));
  });

  test("table, one that was dropped, is an error too", () => {
    const database = connect(newFile());
    const store = opened(database);
    database.exec("DROP TABLE sessions");
    expect(() => store.load(newKey())).toThrow("no such table");
  });
});

test("no error holds a key, an owner or a value", async () => {
  const secrets = { value: "a-secret-value", owner: "a-secret-owner", name: "a-secret-name" };
  const file = newFile();
  const [store, database, key] = [opened(connect(file)), connect(file), newKey()];
  const session = record({
    values: new Map([[secrets.name, secrets.value]]),
    owners: new Set([secrets.owner]),
  });
  const errors: unknown[] = [];
  const provoke = (work: () => unknown) => {
    try {
      work();
    } catch (error) {
      errors.push(error);
    }
  };
  await store.create(key, session);
  provoke(() => store.create(key, { ...session, operation: "another" }));
  provoke(() => store.create(newKey(), { ...session, operation: "nan", idle: Number.NaN }));
  database.prepare("UPDATE sessions SET entries = ?").run(`[${secrets.value}`);
  provoke(() => store.load(key));
  database.exec("DROP TABLE sessions");
  provoke(() => store.load(key));
  store.close();

  expect(errors).toHaveLength(4);
  for (const error of errors) {
    const shown = inspect(error, { depth: Infinity, showHidden: true });
    for (const secret of [key.slice(3), ...Object.values(secrets)]) {
      expect(shown).not.toContain(secret);
    }
  }
});

test("what was acknowledged survives a process that is killed", async () => {
  const file = newFile();
  const main = fileURLToPath(new URL("killed.ts", import.meta.url));
  const child = spawn(process.execPath, ["--conditions=@lanai/source", main, file]);
  const [key, [, signal]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  expect(signal).toBe("SIGKILL");
  expect(opened(file).load(key.trim())).toMatchObject({
    status: "live",
    record: { values: new Map([["v", "acknowledged"]]) },
  });
});

describe("what has expired", () => {
  let now: number;
  const clock = () => now;

  beforeEach(() => {
    now = Date.now();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("is swept within a minute, with its owners and old keys; the living stay", async () => {
    const file = newFile();
    const [store, database, key] = [opened(file, { clock }), connect(file), newKey()];
    await store.create(newKey(), owned("ada"));
    await store.create(key, record({ idle: 600_000, owners: new Set(["bob"]) }));
    await store.commit(key, change({ renewTo: newKey() }));
    now += 59_999;
    vi.advanceTimersByTime(60_000);
    expect(rowsOf(database)).toMatchObject({ sessions: 2, owners: 2, oldKeys: 1 });
    now += 1;
    vi.advanceTimersByTime(60_000);
    expect(rowsOf(database)).toMatchObject({ sessions: 1, owners: 1, oldKeys: 0 });
  });

  test("is swept in parts, with pauses for everything else", async () => {
    const file = newFile();
    const [store, database] = [opened(file, { clock }), connect(file)];
    for (let n = 0; n < 250; n++) await store.create(newKey(), record());
    now += 60_000;
    vi.advanceTimersByTime(60_000);
    expect(rowsOf(database)).toMatchObject({ sessions: 150 });
    vi.advanceTimersByTime(19);
    expect(rowsOf(database)).toMatchObject({ sessions: 150 });
    vi.advanceTimersByTime(1);
    expect(rowsOf(database)).toMatchObject({ sessions: 50 });
    vi.advanceTimersByTime(20);
    expect(rowsOf(database)).toMatchObject({ sessions: 0 });
  });

  test("is swept in parts too where it is old keys alone", async () => {
    const file = newFile();
    const [store, database] = [opened(file, { clock }), connect(file)];
    const keys = Array.from({ length: 151 }, newKey);
    await store.create(keys[0] as string, record({ idle: 600_000 }));
    for (const [n, key] of keys.slice(0, -1).entries()) {
      await store.commit(key, change({ renewTo: keys[n + 1] as string }));
    }
    now += 60_000;
    vi.advanceTimersByTime(60_000);
    expect(rowsOf(database)).toMatchObject({ sessions: 1, oldKeys: 50 });
    vi.advanceTimersByTime(20);
    expect(rowsOf(database)).toMatchObject({ sessions: 1, oldKeys: 0 });
  });

  test("is swept by whoever has the file open, as often as sweepInterval says", async () => {
    const file = newFile();
    const [store, database] = [opened(file, { clock, sweepInterval: Infinity }), connect(file)];
    await store.create(newKey(), record());
    now += 60_000;
    vi.advanceTimersByTime(86_400_000);
    expect(rowsOf(database)).toMatchObject({ sessions: 1 });
    opened(file, { clock, sweepInterval: 1_000 });
    vi.advanceTimersByTime(1_000);
    expect(rowsOf(database)).toMatchObject({ sessions: 0 });
  });

  test("is left for the next time while another connection holds the lock", async () => {
    const file = newFile();
    const [store, database] = [opened(file, { clock }), connect(file)];
    await store.create(newKey(), record());
    now += 60_000;
    database.exec("BEGIN IMMEDIATE");
    vi.advanceTimersByTime(60_000);
    database.exec("COMMIT");
    expect(rowsOf(database)).toMatchObject({ sessions: 1 });
    vi.advanceTimersByTime(60_000);
    expect(rowsOf(database)).toMatchObject({ sessions: 0 });
  });

  test("is not swept any more by a store that is closed", async () => {
    const database = connect(newFile());
    const store = sqliteStore(database, { clock });
    await store.create(newKey(), record());
    now += 60_000;
    store.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("may be the old key of another session once more", async () => {
    const [store, key] = [opened(newFile(), { clock }), newKey()];
    const long = { idle: 600_000 };
    await store.create(key, record(long));
    await store.commit(key, change({ renewTo: newKey() }));
    now += 60_000;
    await store.create(key, record(long));
    const successor = newKey();
    expect(store.commit(key, change({ renewTo: successor }))).toMatchObject({ status: "saved" });
    expect(store.load(key)).toEqual({ status: "renewed" });
    expect(store.commit(key, change({ touch: true }))).toEqual({
      status: "saved",
      key,
      renewed: true,
    });
  });

  test("makes its key free, swept or not", async () => {
    const [store, key] = [opened(newFile(), { clock }), newKey()];
    await store.create(key, owned("ada"));
    now += 60_000;
    expect(store.create(key, holding("new"))).toBe(key);
    expect(store.list("ada")).toEqual([]);
  });
});

test("a store doesn't keep its process alive", async () => {
  const main = fileURLToPath(new URL("idle.ts", import.meta.url));
  const child = spawn(process.execPath, ["--conditions=@lanai/source", main, newFile()]);
  const [code] = await once(child, "exit");
  expect(code).toBe(0);
});

test("of a session's last four operations a repeat is known; the answer is the first one", async () => {
  const [store, key] = [opened(), newKey()];
  const created = record();
  await store.create(key, created);
  const first = setting("first");
  expect(store.commit(key, first)).toEqual({ status: "saved", key });
  for (let n = 0; n < 3; n++) await store.commit(key, setting(`${n}`));
  expect(store.commit(key, first)).toEqual({ status: "saved", key });
  expect(store.load(key)).toMatchObject({ record: { values: new Map([["v", "2"]]) } });
  expect(() => store.create(key, created)).toThrow("the key is in use");
});

test("a create that is called again after its session was ended creates it anew", async () => {
  const [store, key, once] = [opened(), newKey(), record()];
  await store.create(key, once);
  await store.destroy(key);
  expect(store.load(key)).toEqual({ status: "none" });
  expect(store.create(key, once)).toBe(key);
  expect(store.load(key)).toMatchObject({ status: "live" });
});
