import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { freePort } from "../../../scripts/services/server-process.ts";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "./browser.ts";

test("the README's example brings what one tab says to all, and ends them all", async () => {
  const port = await freePort();
  const app = fork(fileURLToPath(new URL("example.ts", import.meta.url)), {
    execArgv: ["--conditions=@lanai/source"],
    env: { ...process.env, PORT: `${port}` },
  });
  onTestFinished(() => void app.kill("SIGKILL"));
  const browsers = [1, 2].map(() => new Browser({ url: `http://127.0.0.1:${port}` }));
  const tabs = [];
  for (const browser of browsers) {
    await until(() => browser.get("/sign-in"));
    const tab = browser.tab();
    await tab.opened;
    tabs.push(tab);
  }
  tabs[0]?.say("say", "aloha");
  for (const tab of tabs) expect(await tab.next("said")).toBe("aloha");
  const signOut = await browsers[1]?.get("/sign-out");
  expect(await signOut?.text()).toBe("2 sessions and 2 tabs ended\n");
  for (const tab of tabs) expect((await tab.closed).code).toBe(4401);
});
