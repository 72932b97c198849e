import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { memoryStore } from "@lanai/session";
import { sqliteStore } from "@lanai/session-sqlite";
import { onTestFinished } from "vitest";
import { interleaved } from "./interleavings.ts";

interleaved("F1: each message goes to exactly one, in memory", async () => {
  const memory = memoryStore();
  return [memory, memory];
});

interleaved("F1: each message goes to exactly one, in SQLite", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lanai-flash-"));
  const stores = [1, 2].map(() => sqliteStore(join(folder, "sessions.db")));
  onTestFinished(() => {
    for (const store of stores) store.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return stores;
});
