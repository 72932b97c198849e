import { join } from "node:path";
import { expect, test } from "vitest";
import { freePort } from "../../../scripts/services/server-process.ts";
import { startProgram } from "../../program.ts";
import { Shell, transcript } from "../../transcript.ts";

const example = join(import.meta.dirname, "..");

/** Runs the example on a port. */
export const start = (port: number, env: Record<string, string>): Promise<AsyncDisposable> =>
  startProgram(example, "src/main.ts", port, env);

/** The HTTP test of the example: the same for each store, but for what a restart leaves. */
export const keeps = (
  store: string,
  env: () => Record<string, string>,
  { isLostByRestart = false } = {},
): void => {
  const site = async () => {
    const port = await freePort();
    return {
      open: () => start(port, { ...env(), STORE: store }),
      shell: new Shell("http://localhost:3000", `http://127.0.0.1:${port}`),
    };
  };

  test(`${store}: the README's commands print what it says`, async () => {
    const { open, shell } = await site();
    await using _app = await open();
    const steps = transcript(new URL("../README.md", import.meta.url));
    expect(steps.length).toBeGreaterThan(0);
    for (const { command, output } of steps) {
      expect(await shell.run(command), command).toBe(output.replace("sqlite", store));
    }
  });

  test(`${store}: a restart ${isLostByRestart ? "loses" : "leaves"} the sessions`, async () => {
    const { open, shell } = await site();
    const visit = async () => {
      await using _app = await open();
      return await shell.run("curl -c jar -b jar http://localhost:3000/");
    };
    expect(await visit()).toBe(`Visit 1, kept by ${store}`);
    expect(await visit()).toBe(`Visit ${isLostByRestart ? 1 : 2}, kept by ${store}`);
  });
};
