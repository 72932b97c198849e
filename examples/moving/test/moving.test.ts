import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { freePort } from "../../../scripts/services/server-process.ts";
import { startProgram } from "../../program.ts";
import { Shell } from "../../transcript.ts";
import { sameSite } from "./same-site.ts";

const root = join(import.meta.dirname, "../../..");

sameSite("koa-session");

describe("the bridge from koa-session", () => {
  const example = join(import.meta.dirname, "..");
  const env = { SECRET: "a secret of more than thirty-two bytes" };

  test("keeps people signed in, once, and a sign-out is final", async () => {
    const [before, after] = [await freePort(), await freePort()];
    await using _old = await startProgram(example, "src/koa-session/before.js", before, env);
    await using _new = await startProgram(example, "src/koa-session/bridge.js", after, env);
    // Cookies don't distinguish ports: one jar for the app before and after the deployment.
    const shell = new Shell(`http://127.0.0.1:${before}`, `http://127.0.0.1:${before}`);
    const get = (port: number, path: string) =>
      shell.run(`curl -b jar -c jar http://127.0.0.1:${port}${path}`);
    expect(await get(before, "/sign-in")).toBe("ada, visit 1");
    expect(await get(after, "/")).toBe("ada, visit 2");
    expect(await get(after, "/")).toBe("ada, visit 3");
    // The old session was ended in the browser: it can't sign in again.
    expect(await get(before, "/")).toBe("stranger, visit 1");
    await get(after, "/sign-out");
    expect(await get(after, "/")).toBe("stranger, visit 1");
  });

  test("takes a stranger for a stranger", async () => {
    const port = await freePort();
    await using _app = await startProgram(example, "src/koa-session/bridge.js", port, env);
    const shell = new Shell("http://localhost:3000", `http://127.0.0.1:${port}`);
    const get = (path: string) => shell.run(`curl -b jar -c jar http://127.0.0.1:${port}${path}`);
    expect(await get("/")).toBe("stranger, visit 1");
    expect(await get("/sign-in")).toBe("ada, visit 2");
    expect(await get("/")).toBe("ada, visit 3");
  });
});

describe("docs/moving.md", () => {
  const markdown = readFileSync(join(root, "docs/moving.md"), "utf8");
  const quotes = [...markdown.matchAll(/^<!-- (\S+) -->\n+```\w*\n(.*?)^```$/gms)];

  test("quotes the programs before and after, as they are", () => {
    expect(quotes.map(([, path]) => path)).toEqual(
      ["koa-session", "koa-generic-session", "express-session"].flatMap((from) => [
        `examples/moving/src/${from}/before.js`,
        `examples/moving/src/${from}/after.ts`,
        ...(from === "koa-session" ? ["examples/moving/src/koa-session/bridge.js"] : []),
      ]),
    );
    for (const [, path = "", code] of quotes) {
      expect(code, path).toBe(readFileSync(join(root, path), "utf8"));
    }
  });

  test("has no other code", () => {
    const blocks = markdown.match(/^```\w+$/gm)?.filter((fence) => fence !== "```sh");
    expect(blocks).toHaveLength(quotes.length);
  });
});
