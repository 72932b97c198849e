import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { storeProcesses } from "@lanai/session/testing";
import { afterAll, test } from "vitest";
import { seed } from "../../../scripts/testing/chance.ts";
import { leastRounds } from "../../../scripts/testing/rounds.ts";

const folder = mkdtempSync(join(tmpdir(), "lanai-sqlite-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const on = (module: string) => ({
  test: (law: string, run: () => Promise<void>) => test(law, run),
  after: afterAll,
  ...{ rounds: leastRounds, seed },
  store: () => ({
    module: new URL(module, import.meta.url).href,
    options: join(folder, `${module}.db`),
  }),
});

storeProcesses({ name: "SQLite", ...on("open-store.ts") });
storeProcesses({ name: "SQLite, encrypted", ...on("open-encrypted-store.ts") });
