import { once } from "node:events";
import type { AddressInfo } from "node:net";
import Router from "@koa/router";
import { createSessions, memoryStore } from "@lanai/session";
import Koa from "koa";
import { expect, onTestFinished, test, vi } from "vitest";
import { Shell, transcript } from "../../transcript.ts";
import { levels } from "../src/app.ts";

async function serve(app: Koa): Promise<string> {
  const server = app.listen(0, "127.0.0.1");
  server.keepAliveTimeout = 0;
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const text = async (url: string): Promise<string> => (await fetch(url)).text();

test("a route without middlewares of its own has the global ones, in the order added", async () => {
  const url = await serve(levels());
  expect(await text(`${url}/`)).toBe("global 1 > global 2 > visit 1\n");
});

test("a group's middlewares run after the global ones, in the order added", async () => {
  const url = await serve(levels());
  expect(await text(`${url}/group`)).toBe("global 1 > global 2 > group 1 > group 2 > visit 1\n");
});

test("a route's middlewares run after its group's, in the order added", async () => {
  const url = await serve(levels());
  expect(await text(`${url}/group/route`)).toBe(
    "global 1 > global 2 > group 1 > group 2 > route 1 > route 2 > visit 1\n",
  );
});

test("sessions mounted at all three levels are loaded once and saved once", async () => {
  const store = memoryStore();
  const url = await serve(levels(createSessions({ store })));
  const { headers } = await fetch(`${url}/group/route`);
  const cookie = headers.getSetCookie()[0]?.split(";")[0] ?? "";
  const load = vi.spyOn(store, "load");
  const commit = vi.spyOn(store, "commit");

  const response = await fetch(`${url}/group/route`, { headers: { cookie } });
  expect(await response.text()).toMatch(/visit 2\n$/);
  expect(load).toHaveBeenCalledTimes(1);
  expect(commit).toHaveBeenCalledTimes(1);
});

test("a scope's middlewares run for its own routes only", async () => {
  const url = await serve(levels());
  expect(await text(`${url}/scoped`)).toBe("global 1 > global 2 > scope > visit 1\n");
  expect(await text(`${url}/open`)).toBe("global 1 > global 2 > visit 1\n");
});

test("the README's commands print what it says", async () => {
  const url = await serve(levels());
  const shell = new Shell("http://localhost:3000", url);
  const steps = transcript(new URL("../README.md", import.meta.url));
  expect(steps.length).toBeGreaterThan(0);
  for (const { command, output } of steps) {
    expect(await shell.run(command), command).toBe(output);
  }
});

test("limit of @koa/router 15: a scope inside another router leaks to its siblings", async () => {
  const scope = new Router();
  scope.use((ctx, next) => {
    ctx.set("X-Scope", "entered");
    return next();
  });
  scope.get("/scoped", (ctx) => {
    ctx.body = "scoped";
  });
  const router = new Router();
  router.use(scope.routes());
  router.get("/sibling", (ctx) => {
    ctx.body = "sibling";
  });
  const app = new Koa();
  app.use(router.routes());
  const url = await serve(app);
  const { headers } = await fetch(`${url}/sibling`);
  expect(headers.get("X-Scope")).toBe("entered");
});
