import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createSessions, memoryStore } from "@lanai/session";
import Koa from "koa";
import { expect, test } from "vitest";

test("a user sees their name", async () => {
  const sessions = createSessions({ store: memoryStore() });
  const app = new Koa();
  app.use(sessions.middleware());
  app.use((ctx) => {
    ctx.body = ctx.session.userId ?? "nobody";
  });
  const server = app.listen(0);
  await once(server, "listening");
  const url = `http://localhost:${(server.address() as AddressInfo).port}`;

  const { headers } = await sessions.create({ userId: "ada", values: { theme: "dark" } });
  const response = await fetch(url, { headers });

  expect(await response.text()).toBe("ada");
  server.close();
});
