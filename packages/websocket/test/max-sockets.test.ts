import type { WebSocketEvent } from "@lanai/websocket";
import Koa from "koa";
import { expect, test } from "vitest";
import { reported } from "../../../scripts/testing/reported.ts";
import { siteOf } from "./site.ts";

test("maxSockets holds for handshakes that are under way together, and reports the refusal", async () => {
  using full = reported<WebSocketEvent>("lanai:websocket:full");
  const arrived = Promise.withResolvers<void>();
  let count = 0;
  const app = new Koa();
  app.use(async (ctx) => {
    count += 1;
    if (count === 3) arrived.resolve();
    await arrived.promise;
    await ctx.upgrade();
  });
  await using site = await siteOf(app, { maxSockets: 1 });
  const all = [1, 2, 3].map(() => site.connect());
  const made = (await Promise.allSettled(all)).filter(({ status }) => status === "fulfilled");
  expect(made).toHaveLength(1);
  expect(site.upgrades.sockets.size).toBe(1);
  expect(full.events).toHaveLength(1);
});
