import { DatabaseSync } from "node:sqlite";
import { storeConformance } from "@lanai/session/testing";
import { sqliteStore } from "@lanai/session-sqlite";
import { test } from "vitest";
import { newFile } from "./files.ts";

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

storeConformance({
  name: "SQLite, one handle",
  test,
  open() {
    const { clock, advance } = movable();
    return { store: sqliteStore(newFile(), { clock }), advance };
  },
});

storeConformance({
  name: "SQLite, two handles on one file",
  test,
  open() {
    const { clock, advance } = movable();
    const file = newFile();
    return { store: sqliteStore(file, { clock }), again: sqliteStore(file, { clock }), advance };
  },
});

storeConformance({
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
});
