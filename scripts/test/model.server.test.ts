import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type IndexedStore, memoryStore } from "@lanai/session";
import { redisStore } from "@lanai/session-redis";
import { sqliteStore } from "@lanai/session-sqlite";
import { Redis } from "ioredis";
import { expect, onTestFinished, test } from "vitest";
import { replay } from "../model/replay.ts";
import { check, mutantsOf, trace } from "../model/run.js";
import { startRedis } from "../services/redis.ts";
import { isLong, seed } from "../testing/chance.ts";

const model = (name: string) =>
  readFileSync(join(import.meta.dirname, `../model/${name}.pml`), "utf8");

test.for(["commit", "attach"])("no order in the model of %s breaks a law", (name) => {
  const { states, error } = check(name);
  expect(error).toBe(undefined);
  expect(states).toBeGreaterThan(1_000);
});

test("a mutant of the model is found", () => {
  expect(check("commit", { MUTANT_NO_BAR: 1 }).error).toContain("user==me");
});

test("the mutants are found in the text", () => {
  expect(mutantsOf(model("commit"))).toHaveLength(12);
  expect(mutantsOf(model("attach"))).toHaveLength(7);
});

const open: Record<string, () => Promise<IndexedStore> | IndexedStore> = {
  memory: () => memoryStore(),
  SQLite() {
    const folder = mkdtempSync(join(tmpdir(), "lanai-model-"));
    const store = sqliteStore(join(folder, "sessions.db"));
    onTestFinished(() => {
      store.close();
      rmSync(folder, { recursive: true });
    });
    return store;
  },
  async Redis() {
    const server = await startRedis();
    const client = new Redis(server.port);
    onTestFinished(async () => {
      client.disconnect();
      await server.stop();
    });
    return redisStore(client);
  },
};

test.for(Object.entries(open))(
  "the store in %s answers as the model does",
  async ([name, opened]) => {
    const store = await opened();
    const kinds = new Set<string>();
    for (let n = 0; n < (isLong ? 500 : 30); n++) {
      const calls = trace("commit", (seed + n) % 2 ** 31, { CLIENTS: 4 });
      for (const call of calls) kinds.add(`${call[0]} ${call.at(-1)}`);
      await replay(store, `${seed + n}`, calls, { comeTwice: name === "Redis" });
    }
    for (const kind of [
      "create saved",
      "set saved",
      "renew saved",
      "login saved",
      "destroy saved",
    ]) {
      expect([...kinds], `with LANAI_SEED=${seed}`).toContain(kind);
    }
  },
);
