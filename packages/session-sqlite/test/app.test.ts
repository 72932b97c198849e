import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createSessions } from "@lanai/session";
import { sqliteStore } from "@lanai/session-sqlite";
import Koa from "koa";
import { describe, expect, onTestFinished, test } from "vitest";
import { freePort } from "../../../scripts/services/server-process.ts";
import { until } from "../../../scripts/testing/until.ts";
import { Browser, type Served, serve } from "../../session/test/http.ts";
import { connect, newFile, rowsOf } from "./files.ts";
import { lockHolder } from "./lock-holder.ts";

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
    await until(async () => expect(await browser.text("/")).toBe(`Visit ${visit}\n`));
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

/** An app in which a POST signs in, and `?set=` stores a text. */
const site = async (
  target: Parameters<typeof sqliteStore>[0],
  { busyTimeout = 1_500, storeTimeout = 2_000 } = {},
): Promise<Served> => {
  const store = sqliteStore(target, { busyTimeout });
  onTestFinished(() => store.close());
  const app = new Koa();
  app.silent = true;
  app.use(createSessions({ store, storeTimeout }).middleware());
  app.use((ctx) => {
    if (ctx.method === "POST") ctx.session.login("ada");
    if (ctx.query.set) ctx.session.set("text", "x".repeat(Number(ctx.query.set)));
    ctx.body = `${ctx.session.userId ?? "nobody"} ${ctx.session.getString("text").length}`;
  });
  return serve(app);
};

const expectUnavailable = (answer: Response) => {
  expect(answer.status).toBe(503);
  expect(answer.headers.getSetCookie()).toEqual([]);
};

test("while the disk is full a sign-in is a 503 without a cookie, and the app recovers", async () => {
  const database = connect(newFile());
  await using served = await site(database);
  const [early, late] = [new Browser(served), new Browser(served)];
  expect((await early.post("/")).status).toBe(200);

  const pages = Number(database.prepare("PRAGMA page_count").get()?.page_count);
  database.exec(`PRAGMA max_page_count = ${pages}`);
  for (const browser of [late, early]) expectUnavailable(await browser.post("/?set=50000"));
  expect(await early.text("/")).toBe("ada 0");

  database.exec("PRAGMA max_page_count = 1000000");
  expect((await late.post("/?set=50000")).status).toBe(200);
  expect(await late.text("/")).toBe("ada 50000");
});

describe("while another process holds the lock", () => {
  test("a write is a 503 after busyTimeout, stored neither then nor later, and the app recovers", async () => {
    const file = newFile();
    const other = await lockHolder(file);
    await using served = await site(file, { busyTimeout: 200 });
    const [early, late] = [new Browser(served), new Browser(served)];
    expect((await early.post("/")).status).toBe(200);

    await other.lock();
    const writes = [early.get("/?set=1"), early.post("/?set=1"), late.post("/?set=1")];
    for (const answer of await Promise.all(writes)) expectUnavailable(answer);
    expect(await early.text("/")).toBe("ada 0");

    await other.unlock();
    // A write comes after all that still waited.
    expect((await late.post("/")).status).toBe(200);
    expect(await late.text("/")).toBe("ada 0");
    expect(await early.text("/")).toBe("ada 0");
    expect(rowsOf(connect(file))).toMatchObject({ sessions: 2 });
    expect(await early.text("/?set=1")).toBe("ada 1");
    expect(await early.text("/")).toBe("ada 1");
  });

  test("and storeTimeout is less than busyTimeout, what was a 503 is stored when the lock goes", async () => {
    const file = newFile();
    const other = await lockHolder(file);
    await using served = await site(file, { busyTimeout: 60_000, storeTimeout: 100 });
    const browser = new Browser(served);
    expect((await browser.post("/")).status).toBe(200);
    await other.lock();
    expectUnavailable(await browser.get("/?set=1"));
    await other.unlock();
    await until(async () => expect(await browser.text("/")).toBe("ada 1"));
  });
});
