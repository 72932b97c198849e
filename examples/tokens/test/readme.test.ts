import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { freePort } from "../../../scripts/services/server-process.ts";
import { startProgram } from "../../program.ts";
import { Shell, transcript } from "../../transcript.ts";

test("the README's commands print what it says", async () => {
  const port = await freePort();
  const folder = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");
  await using _program = await startProgram(folder, "src/main.ts", port, {
    PAGE_PORT: `${await freePort()}`,
  });
  const shell = new Shell("http://localhost:3000", `http://127.0.0.1:${port}`);
  const steps = transcript(new URL("../README.md", import.meta.url));
  expect(steps.length).toBeGreaterThan(0);
  for (const { command, output } of steps) {
    expect(await shell.run(command), command).toBe(output);
  }
});
