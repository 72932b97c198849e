import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { startRedis } from "../../../scripts/services/redis.ts";
import { freePort } from "../../../scripts/services/server-process.ts";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "../../session/test/http.ts";

test("the README's example keeps a visit through a restart of the app", async () => {
  await using server = await startRedis();
  const port = await freePort();
  const browser = new Browser(`http://127.0.0.1:${port}`);
  for (const visit of [1, 2]) {
    const app = fork(fileURLToPath(new URL("example.ts", import.meta.url)), {
      execArgv: ["--conditions=@lanai/source"],
      env: {
        ...process.env,
        PORT: `${port}`,
        REDIS_URL: `redis://${server.host}:${server.port}`,
      },
    });
    const ended = once(app, "exit");
    try {
      await until(async () => expect(await browser.text("/")).toBe(`Visit ${visit}\n`));
    } finally {
      app.kill();
      await ended;
    }
  }
});
