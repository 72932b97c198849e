import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { session } from "@lanai/session";
import { type Sse, sse } from "@lanai/sse";
import Koa from "koa";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { programPath } from "../../../scripts/servers.js";
import { startChromium } from "../../../scripts/services/chromium.ts";
import { until } from "../../../scripts/testing/until.ts";
import { siteOf } from "./site.ts";

let browser: Browser;

beforeAll(async () => {
  browser = await startChromium();
});

afterAll(() => browser.close());

/** A page at `/`, and a stream that counts on from where its client was. */
function counter(events: Sse = sse()): { app: Koa; asked: (string | undefined)[] } {
  const asked: (string | undefined)[] = [];
  const app = new Koa();
  app.use(session()).use(events);
  app.use(async (ctx) => {
    if (ctx.path === "/") {
      ctx.type = "html";
      ctx.body = "<p>page</p>";
      return;
    }
    if (ctx.path !== "/counter" && ctx.path !== "/open") return;
    const { lastEventId } = ctx;
    asked.push(lastEventId);
    if (lastEventId === "é3") {
      ctx.status = 204;
      return;
    }
    ctx.session.set("streams", ctx.session.getInt("streams") + 1);
    const stream = await ctx.sse(undefined, { retry: 20 });
    const next = Number(lastEventId?.slice(1) ?? 0) + 1;
    stream.send({ id: `é${next}` });
    stream.send({ event: "step", data: `one\r\ntwo\n${next}` });
    if (ctx.path === "/counter") stream.end();
  });
  return { app, asked };
}

/** What a page gets of a stream until its client gives up, or until so many events. */
const listen = (page: Page, url: string, most: number): Promise<unknown> =>
  page.evaluate(
    ([url, most]) =>
      new Promise((resolve) => {
        const got: unknown[] = [];
        const source = new EventSource(url as string);
        source.addEventListener("step", (event) => {
          const { data, lastEventId } = event as MessageEvent;
          got.push([lastEventId, data]);
          if (got.length === most) resolve(got);
        });
        source.onerror = () => {
          if (source.readyState === EventSource.CLOSED) resolve([...got, "gave up"]);
        };
      }),
    [url, most] as const,
  );

describe("Chromium's EventSource", () => {
  test("parses what is sent, comes back with the id that came last, and stops at a 204", async () => {
    const { app, asked } = counter();
    await using site = await siteOf(app);
    await using context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(site.url);
    expect(await listen(page, "/counter", 9)).toEqual([
      ["é1", "one\ntwo\n1"],
      ["é2", "one\ntwo\n2"],
      ["é3", "one\ntwo\n3"],
      "gave up",
    ]);
    expect(asked).toEqual([undefined, "é1", "é2", "é3"]);
    expect(await context.cookies()).toMatchObject([{ name: "sid" }]);
  });

  test("comes back after a shutdown, and the stream of a tab that was closed ends", async () => {
    const events = sse();
    const { app } = counter(events);
    await using site = await siteOf(app);
    await using context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(site.url);
    await listen(page, "/open", 1);
    const [stream] = events.streams;
    await page.close();
    await stream?.ended;
    expect(events.streams.size).toBe(0);

    const other = await context.newPage();
    await other.goto(site.url);
    const states = other.evaluate(
      () =>
        new Promise((resolve) => {
          const source = new EventSource("/open");
          source.addEventListener("step", () => void fetch("/?open"));
          source.onerror = () => resolve(source.readyState === EventSource.CONNECTING);
        }),
    );
    await other.waitForRequest("**/?open");
    await events.close();
    expect(await states).toBe(true);
  });
});

describe("curl", () => {
  const curl = promisify(execFile);
  const get = async (...args: string[]) =>
    (await curl(programPath("curl"), ["--silent", "--noproxy", "*", ...args])).stdout;

  test("reads a stream as it comes", async () => {
    await using site = await siteOf(counter().app);
    expect(await get("--no-buffer", `${site.url}/counter`)).toBe(
      "retry: 20\n\nid: é1\n\nevent: step\ndata: one\ndata: two\ndata: 1\n\n",
    );
  });

  test("asks for the head alone", async () => {
    const events = sse();
    await using site = await siteOf(counter(events).app);
    const head = await get("--head", `${site.url}/open`);
    expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(head).toMatch(/\r\nContent-Type: text\/event-stream; charset=utf-8\r\n/i);
    await until(() => expect(events.streams.size).toBe(0));
  });
});

test("an event named error calls a page's onerror with its data, and a lost connection without", async () => {
  const app = new Koa();
  app.use(sse());
  app.use(async (ctx) => {
    if (ctx.path === "/") {
      ctx.type = "html";
      ctx.body = "<p>page</p>";
      return;
    }
    if (ctx.path !== "/errors") return;
    const stream = await ctx.sse();
    stream.send({ event: "error", data: "of the server" });
    stream.end();
  });
  await using site = await siteOf(app);
  await using context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(site.url);
  const heard = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const events: unknown[] = [];
        const source = new EventSource("/errors");
        source.onerror = (event) => {
          events.push("data" in event ? event.data : "lost");
          if (events.length < 2) return;
          source.close();
          resolve(events);
        };
      }),
  );
  expect(heard).toEqual(["of the server", "lost"]);
});
