import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { onTestFinished } from "vitest";

/** A folder that goes when the test is over. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "lanai-sqlite-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The path of a database that isn't there yet. */
export const newFile = (): string => join(newFolder(), "sessions.db");

/** Another connection, closed when the test is over. */
export function connect(file: string): DatabaseSync {
  const database = new DatabaseSync(file);
  onTestFinished(() => {
    if (database.isOpen) database.close();
  });
  return database;
}

/** How many rows each table has. */
export function rowsOf(database: DatabaseSync, table = "sessions"): Record<string, number> {
  const count = (name: string) =>
    Number(database.prepare(`SELECT count(*) AS n FROM "${name}"`).get()?.n);
  return {
    sessions: count(table),
    owners: count(`${table}_owners`),
    oldKeys: count(`${table}_old_keys`),
    ends: count(`${table}_ends`),
  };
}
