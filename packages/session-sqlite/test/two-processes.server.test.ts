import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { twoProcesses } from "../../session/test/two-processes/cases.ts";

const folder = mkdtempSync(join(tmpdir(), "lanai-sqlite-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

twoProcesses({
  name: "SQLite",
  prepare: () => ({
    module: new URL("open-store.ts", import.meta.url).href,
    options: join(folder, "sessions.db"),
  }),
});
