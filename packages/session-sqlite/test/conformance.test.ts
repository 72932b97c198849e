import { renameSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { encrypted } from "@lanai/session";
import { type StoreConformanceOptions, storeConformance } from "@lanai/session/testing";
import { sqliteStore } from "@lanai/session-sqlite";
import { test } from "vitest";
import { oneOrAll } from "../../../scripts/testing/chance.ts";
import { newFile, rowsOf } from "./files.ts";

/** A clock that a test moves, of as many stores as there are. */
const movable = () => {
  let ahead = 0;
  return {
    clock: () => Date.now() + ahead,
    advance(ms: number) {
      ahead += ms;
    },
  };
};

const sum = (rows: Record<string, number>): number =>
  Object.values(rows).reduce((all, one) => all + one, 0);

storeConformance({
  name: "SQLite, two handles on one file",
  test,
  open() {
    const { clock, advance } = movable();
    const file = newFile();
    const away = `${file}-away`;
    const open = () => sqliteStore(file, { clock, sweepInterval: 1_000 });
    const rows = new DatabaseSync(file);
    return {
      store: open(),
      again: open(),
      advance,
      // The file is out of reach; a read trusts its last look at it for a second.
      cut() {
        renameSync(file, away);
        advance(1_000);
      },
      heal: () => renameSync(away, file),
      size: () => sum(rowsOf(rows)),
      close: () => rows.close(),
    };
  },
});

/** Other ways to use it. The short form tries one of them. */
const OTHERS: readonly StoreConformanceOptions[] = [
  {
    name: "SQLite, one handle",
    test: (name, fn) => test(name, fn, 600_000),
    // `LONG=1` tries all orders of two holders of a session.
    orders: process.env.LONG ? 87_500 : 2_000,
    open() {
      const { clock, advance } = movable();
      return { store: sqliteStore(newFile(), { clock }), advance };
    },
  },
  {
    name: "SQLite, the app's own databases without a write-ahead log",
    test,
    open() {
      const { clock, advance } = movable();
      const file = newFile();
      const [one, other] = [new DatabaseSync(file), new DatabaseSync(file)];
      // A disk that takes its time is not what is tested.
      for (const database of [one, other]) database.exec("PRAGMA synchronous = OFF");
      return {
        store: sqliteStore(one, { clock, table: "visits" }),
        again: sqliteStore(other, { clock, table: "visits" }),
        advance,
        close() {
          one.close();
          other.close();
        },
      };
    },
  },
  {
    name: "encrypted, SQLite",
    test,
    orders: 200,
    open() {
      const { clock, advance } = movable();
      const file = newFile();
      const keys = ["the first key has thirty-two bytes", "an older key has thirty-two bytes too"];
      return {
        store: encrypted(sqliteStore(file, { clock }), { keys }),
        // Another process, to which the new key hasn't come yet as the first.
        again: encrypted(sqliteStore(file, { clock }), { keys: keys.toReversed() }),
        advance,
      };
    },
  },
];

for (const other of oneOrAll(OTHERS)) storeConformance(other);
