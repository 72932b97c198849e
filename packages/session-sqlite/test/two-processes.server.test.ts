import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { storeProcesses } from "@lanai/session/testing";
import { afterAll, test } from "vitest";
import { oneOrAll, seed } from "../../../scripts/testing/chance.ts";
import { leastRounds } from "../../../scripts/testing/rounds.ts";

const folder = mkdtempSync(join(tmpdir(), "lanai-sqlite-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const on = (module: URL) => ({
  test: (law: string, run: () => Promise<void>) => test(law, run),
  after: afterAll,
  ...{ rounds: leastRounds, seed },
  store: () => ({
    module: module.href,
    options: join(folder, `${basename(module.pathname)}.db`),
  }),
});

const stores = [
  { name: "SQLite", module: new URL("open-store.ts", import.meta.url) },
  { name: "SQLite, encrypted", module: new URL("open-encrypted-store.ts", import.meta.url) },
];
for (const { name, module } of oneOrAll(stores)) storeProcesses({ name, ...on(module) });
