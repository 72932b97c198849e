import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createSessions } from "@lanai/session";
import { sqliteStore } from "@lanai/session-sqlite";
import Koa from "koa";
import { expect, onTestFinished, test, vi } from "vitest";
import { freePort } from "../../../scripts/services/server-process.ts";
import { Browser, serve } from "../../session/test/http.ts";
import { connect, newFile } from "./files.ts";

test("the README's example keeps a visit through a restart, and closes its file", async () => {
  const port = await freePort();
  const file = newFile();
  const browser = new Browser(`http://127.0.0.1:${port}`);
  for (const visit of [1, 2]) {
    const app = fork(fileURLToPath(new URL("example.ts", import.meta.url)), {
      execArgv: ["--conditions=@lanai/source"],
      env: { ...process.env, PORT: `${port}`, SESSIONS: file },
    });
    onTestFinished(() => void app.kill("SIGKILL"));
    await vi.waitFor(async () => expect(await browser.text("/")).toBe(`Visit ${visit}\n`), 10_000);
    expect(existsSync(`${file}-wal`)).toBe(true);
    expect(await end(app)).toBe(0);
    expect(existsSync(`${file}-wal`)).toBe(false);
  }
});

const end = async (app: ChildProcess): Promise<unknown> => {
  const exited = once(app, "exit");
  app.kill();
  return (await exited)[0];
};

test("while the disk is full a sign-in is a 503 without a cookie, and the app recovers", async () => {
  const database = connect(newFile());
  const store = sqliteStore(database);
  onTestFinished(() => store.close());
  const app = new Koa();
  app.silent = true;
  app.use(createSessions({ store }).middleware());
  app.use((ctx) => {
    if (ctx.method === "POST") ctx.session.login("ada");
    if (ctx.query.set) ctx.session.set("text", "x".repeat(50_000));
    ctx.body = ctx.session.userId ?? "nobody";
  });
  await using served = await serve(app);
  const [early, late] = [new Browser(served), new Browser(served)];
  expect((await early.post("/")).status).toBe(200);

  const pages = Number(database.prepare("PRAGMA page_count").get()?.page_count);
  database.exec(`PRAGMA max_page_count = ${pages}`);
  for (const [browser, path] of [
    [late, "/?set=1"],
    [early, "/?set=1"],
  ] as const) {
    const answer = await browser.post(path);
    expect(answer.status).toBe(503);
    expect(answer.headers.getSetCookie()).toEqual([]);
  }
  expect(await early.text("/")).toBe("ada");

  database.exec("PRAGMA max_page_count = 1000000");
  expect((await late.post("/?set=1")).status).toBe(200);
  expect(await late.text("/")).toBe("ada");
});
