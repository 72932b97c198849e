import { sqliteStore } from "@lanai/session-sqlite";
import { onTestFinished } from "vitest";
import { damagedSessions } from "../../session/test/damaged.ts";
import { connect, newFile } from "./files.ts";

let file = "";

damagedSessions({
  name: "SQLite",
  open() {
    file = newFile();
    const store = sqliteStore(file);
    onTestFinished(() => store.close());
    return store;
  },
  damage: (key) => set("entries", "'[1]'", key),
  damageOther: (key) => set("owners", "json_insert(owners, '$[#]', json('{}'))", key),
});

const set = (column: string, expression: string, key: string) =>
  connect(file).prepare(`UPDATE sessions SET ${column} = ${expression} WHERE key = ?`).run(key);
