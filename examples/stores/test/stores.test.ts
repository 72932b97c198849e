import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { temporaryFolder } from "../../../scripts/services/server-process.ts";
import { keeps, start } from "./keeps.ts";

const folder = temporaryFolder("stores");

afterAll(() => folder.remove());

keeps("memory", () => ({}), { isLostByRestart: true });
keeps("sealed", () => ({ SECRET: "a secret of more than thirty-two bytes" }));
keeps("sqlite", () => ({ SQLITE_FILE: join(folder.path, "sessions.db") }));

test("a store that there isn't ends the program with a word on it", async () => {
  await expect(start(0, { STORE: "floppy" })).rejects.toThrow(
    "STORE must be memory, sealed, sqlite, redis or postgres, got floppy",
  );
});
