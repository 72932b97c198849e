// Stores a session, says its key and is killed: nothing is closed, nothing is written at leisure.
import { writeSync } from "node:fs";
import { sqliteStore } from "../src/index.ts";
import { newKey, record, setting } from "./records.ts";

const store = sqliteStore(process.argv[2] as string);
const key = newKey();
await store.create(key, record());
await store.commit(key, setting("acknowledged"));
writeSync(1, key);
process.kill(process.pid, "SIGKILL");
