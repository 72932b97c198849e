import { copyFileSync, mkdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createSessions } from "@lanai/session";
import { type SqliteStoreOptions, sqliteStore } from "@lanai/session-sqlite";
import { describe, expect, onTestFinished, test } from "vitest";
import { connect, newFile, newFolder } from "./files.ts";
import { change, newKey, owned, record } from "./records.ts";

const opened = (target: Parameters<typeof sqliteStore>[0], options: SqliteStoreOptions = {}) => {
  const store = sqliteStore(target, options);
  onTestFinished(() => store.close());
  return store;
};

const replaced = expect.objectContaining({
  message: expect.stringMatching(/^sqliteStore: .*sessions\.db.* was removed or replaced/),
});

const LOG = ["-wal", "-shm"];

/** What happens to the file at a path, while it is open. */
const conditions: readonly (readonly [string, (file: string) => void])[] = [
  [
    "removed with its log",
    (file) => {
      for (const end of ["", ...LOG]) rmSync(file + end);
    },
  ],
  ["removed alone", (file) => rmSync(file)],
  [
    "replaced by another database",
    (file) => {
      for (const end of LOG) rmSync(file + end);
      const other = new DatabaseSync(`${file}-other`);
      other.exec("CREATE TABLE t (n)");
      other.close();
      renameSync(`${file}-other`, file);
    },
  ],
  [
    "replaced by its own copy, as an editor or a restore does",
    (file) => {
      copyFileSync(file, `${file}-copy`);
      renameSync(`${file}-copy`, file);
    },
  ],
  ["moved", (file) => renameSync(file, `${file}-moved`)],
  ["left, and its log removed", (file) => rmSync(`${file}-wal`)],
  ["left, and the index of its log removed", (file) => rmSync(`${file}-shm`)],
];

describe.each(conditions)("when the file is %s while it is open", (_, happen) => {
  test("every call fails with the cause: reads within a second, the others at once", async () => {
    let now = Date.now();
    const file = newFile();
    const store = opened(file, { clock: () => now });
    const key = newKey();
    await store.create(key, owned("ada"));
    happen(file);
    for (const end of [
      () => store.destroy(key),
      () => store.destroyByPublicId("ada", "x"),
      () => store.destroyAll("ada"),
    ]) {
      expect(end).toThrow(replaced);
    }
    now += 1_000;
    expect(() => store.load(key)).toThrow(replaced);
    expect(() => store.list("ada")).toThrow(replaced);
    expect(() => store.commit(key, change({ touch: true }))).toThrow(replaced);
    expect(() => store.create(newKey(), record())).toThrow(replaced);
  });
});

test("a read trusts the last look for a second, also if the clock goes back", async () => {
  let now = Date.now();
  const file = newFile();
  const store = opened(file, { clock: () => now });
  const key = newKey();
  await store.create(key, record());
  await store.load(key);
  rmSync(file);
  now += 999;
  expect(store.load(key)).toMatchObject({ status: "live" });
  expect(() => store.create(newKey(), record())).toThrow(replaced);
  now -= 60_000;
  expect(() => store.load(key)).toThrow(replaced);
});

test("no write is acknowledged that no other process sees", async () => {
  const file = newFile();
  const [old, key] = [opened(file), newKey()];
  await old.create(key, record());
  for (const end of ["", ...LOG]) rmSync(file + end);
  expect(() => old.commit(key, change({ touch: true }))).toThrow(replaced);
});

test("a sign-out everywhere in one process is never a success that another doesn't see", async () => {
  const file = newFile();
  const old = createSessions({ store: opened(file) });
  await old.create({ userId: "ada" });
  for (const end of ["", ...LOG]) rmSync(file + end);
  const young = createSessions({ store: opened(file) });
  const { session } = await young.create({ userId: "ada" });
  await expect(old.destroyAll({ user: "ada" })).rejects.toMatchObject({
    code: "ERR_SESSION_STORE_UNAVAILABLE",
    status: 503,
    cause: replaced,
  });
  expect(await young.open(session.id as string)).toBeDefined();
});

test("when the file is put back, all goes on", async () => {
  const file = newFile();
  const [store, key] = [opened(file), newKey()];
  await store.create(key, record());
  renameSync(file, `${file}-away`);
  expect(() => store.destroy(key)).toThrow(replaced);
  renameSync(`${file}-away`, file);
  expect(store.load(key)).toMatchObject({ status: "live" });
  expect(store.destroy(key)).toBeDefined();
});

test("a symbolic link that leads elsewhere is noticed, and what it is relative to doesn't matter", () => {
  const folder = newFolder();
  for (const release of ["one", "two"]) mkdirSync(join(folder, release));
  symlinkSync("one", join(folder, "current"));
  const store = opened(join(folder, "current", "sessions.db"));
  expect(store.destroy(newKey())).toBeUndefined();
  opened(join(folder, "two", "sessions.db"));
  rmSync(join(folder, "current"));
  symlinkSync("two", join(folder, "current"));
  expect(() => store.destroy(newKey())).toThrow(replaced);
});

test("a database of the app is watched too, and may change its mode", () => {
  const file = newFile();
  const database = connect(file);
  database.exec("PRAGMA journal_mode = WAL");
  const store = opened(database);
  database.exec("PRAGMA journal_mode = DELETE");
  expect(store.destroy(newKey())).toBeUndefined();
  database.exec("PRAGMA journal_mode = WAL");
  expect(store.create(newKey(), record())).toBeTypeOf("string");
  renameSync(file, `${file}-away`);
  expect(() => store.destroy(newKey())).toThrow(replaced);
});

test("a database in memory has no file to lose", () => {
  expect(opened(":memory:").destroy(newKey())).toBeUndefined();
});
