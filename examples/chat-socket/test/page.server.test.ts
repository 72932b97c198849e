import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startChromium } from "../../../scripts/services/chromium.ts";
import { freePort } from "../../../scripts/services/server-process.ts";
import { startProgram } from "../../program.ts";

test("in Chromium the page loads the built client without a bundler, and shows what is said", async () => {
  const browserPackage = join(import.meta.dirname, "../../../packages/browser");
  execFileSync("npm", ["exec", "--", "tsc", "-b", browserPackage]);
  const port = await freePort();
  await using _program = await startProgram(join(import.meta.dirname, ".."), "src/main.ts", port, {
    ...{ DELAY: "0", OVER: "100" },
  });
  await using browser = await startChromium();
  const enter = async (name: string) => {
    const page = await (await browser.newContext()).newPage();
    await page.goto(`http://127.0.0.1:${port}/`);
    await page.fill("[name=name]", name);
    await page.click("#sign-in button");
    return page;
  };
  const ada = await enter("ada");
  await ada.fill("[name=text]", "<b>hello</b>");
  await ada.click("#say button");
  for (const page of [ada, await enter("grace")]) {
    await expect.poll(() => page.textContent("#room")).toBe("ada: <b>hello</b>\n");
  }
});
