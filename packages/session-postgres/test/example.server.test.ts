import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { freePort } from "../../../scripts/services/server-process.ts";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "../../session/test/http.ts";
import { startDatabase } from "./database.ts";

test("the README's example keeps a visit through a restart of the app", async () => {
  await using database = await startDatabase({ fsync: "off" });
  const { host, port, user, database: name } = database.server.connection;
  const appPort = await freePort();
  const browser = new Browser(`http://127.0.0.1:${appPort}`);
  const start = () =>
    fork(fileURLToPath(new URL("example.ts", import.meta.url)), {
      execArgv: ["--conditions=@lanai/source"],
      env: {
        ...process.env,
        PORT: `${appPort}`,
        PGHOST: host,
        PGPORT: `${port}`,
        PGUSER: user,
        PGDATABASE: name,
      },
    });
  const end = async (app: ChildProcess) => {
    const ended = once(app, "exit");
    app.kill();
    await ended;
  };
  for (const visit of [1, 2]) {
    const app = start();
    try {
      await until(async () => expect(await browser.text("/")).toBe(`Visit ${visit}\n`));
    } finally {
      await end(app);
    }
  }
});
