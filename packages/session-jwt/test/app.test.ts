import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { freePort } from "../../../scripts/services/server-process.ts";
import { until } from "../../../scripts/testing/until.ts";

test("the README's example signs in by a token, and lets nobody in without", async () => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const app = fork(fileURLToPath(new URL("example.ts", import.meta.url)), {
    execArgv: ["--conditions=@lanai/source"],
    env: { ...process.env, PORT: `${port}`, NODE_ENV: "development" },
  });
  onTestFinished(() => void app.kill("SIGKILL"));
  const stranger = await until(() => fetch(url));
  expect([stranger.status, stranger.headers.get("www-authenticate")]).toEqual([
    401,
    'Session realm="session", code="ERR_SESSION_REQUIRED"',
  ]);
  const signedIn = await fetch(`${url}/sign-in`, { method: "POST" });
  const token = signedIn.headers.get("session-id") ?? "";
  const response = await fetch(url, { headers: { "Session-ID": token } });
  expect(await response.text()).toBe("Hello ada\n");
});
