import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { storeProcesses } from "@lanai/session/testing";
import { afterAll, test } from "vitest";
import { seed } from "../../../scripts/testing/chance.ts";
import { leastRounds } from "../../../scripts/testing/rounds.ts";

const folder = mkdtempSync(join(tmpdir(), "lanai-sqlite-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

storeProcesses({
  name: "SQLite",
  test: (name, run) => test(name, run),
  after: afterAll,
  ...{ rounds: leastRounds, seed },
  store: () => ({
    module: new URL("open-store.ts", import.meta.url).href,
    options: join(folder, "sessions.db"),
  }),
});
