import { join } from "node:path";
import { expect, test } from "vitest";
import { freePort } from "../../../scripts/services/server-process.ts";
import { startProgram } from "../../program.ts";
import { Shell, transcript } from "../../transcript.ts";

const example = join(import.meta.dirname, "..");
const SECRET = "a secret of more than thirty-two bytes";

/** Holds the programs before and after a move to the same test. */
export const sameSite = (from: string, env: () => Record<string, string> = () => ({})): void => {
  for (const program of [`src/${from}/before.js`, `src/${from}/after.ts`]) {
    test(`${program} counts visits, signs in and signs out`, async () => {
      const port = await freePort();
      await using _app = await startProgram(example, program, port, { SECRET, ...env() });
      const shell = new Shell("http://localhost:3000", `http://127.0.0.1:${port}`);
      const get = (path: string) => shell.run(`curl -b jar -c jar http://127.0.0.1:${port}${path}`);
      expect(await get("/")).toBe("stranger, visit 1");
      expect(await get("/")).toBe("stranger, visit 2");
      expect(await get("/sign-in")).toBe("ada, visit 3");
      expect(await get("/")).toBe("ada, visit 4");
      expect(await get("/sign-out")).toBe("Bye");
      expect(await get("/")).toBe("stranger, visit 1");
    });

    test(`${program} prints what the README says`, async () => {
      const port = await freePort();
      await using _app = await startProgram(example, program, port, { SECRET, ...env() });
      const shell = new Shell("http://localhost:3000", `http://127.0.0.1:${port}`);
      const steps = transcript(new URL("../README.md", import.meta.url));
      expect(steps.length).toBeGreaterThan(0);
      for (const { command, output } of steps) {
        expect(await shell.run(command), command).toBe(output);
      }
    });
  }
};
