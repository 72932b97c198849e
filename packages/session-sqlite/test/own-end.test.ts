import { sqliteStore } from "@lanai/session-sqlite";
import { onTestFinished } from "vitest";
import { endsItsOwnSession } from "../../session/test/own-end.ts";
import { newFile } from "./files.ts";

endsItsOwnSession({
  name: "SQLite",
  open() {
    const store = sqliteStore(newFile());
    onTestFinished(() => store.close());
    return store;
  },
});
