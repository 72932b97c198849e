import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { startProgram } from "../../../examples/program.ts";
import { Shell, transcript } from "../../../examples/transcript.ts";
import { freePort } from "../../../scripts/services/server-process.ts";

test("the README's commands print what it says", async () => {
  const port = await freePort();
  const program = fileURLToPath(new URL("example.ts", import.meta.url));
  await using _running = await startProgram(import.meta.dirname, program, port, {});
  const shell = new Shell("http://localhost:3000", `http://127.0.0.1:${port}`);
  const steps = transcript(new URL("../README.md", import.meta.url));
  expect(steps).toHaveLength(3);
  for (const { command, output } of steps) {
    expect(await shell.run(command), command).toBe(output);
  }
});
