import { createSessions, memoryStore } from "@lanai/session";
import Koa, { type ExtendableContext } from "koa";
import { expect, test } from "vitest";
import { serve } from "./http.ts";

test("far from the request, the session is that of app.currentContext", async () => {
  const app = new Koa({ asyncLocalStorage: true });
  const sessions = createSessions({ store: memoryStore() });
  const far = () => sessions.from(app.currentContext as ExtendableContext).getString("name");
  app.use(sessions.middleware());
  app.use(async (ctx) => {
    ctx.session.set("name", String(ctx.query.name));
    await new Promise((resolve) => setImmediate(resolve));
    ctx.body = far();
  });
  await using served = await serve(app);
  const ask = async (name: string) => (await fetch(`${served.url}/?name=${name}`)).text();
  expect(await Promise.all([ask("ada"), ask("bob")])).toEqual(["ada", "bob"]);
});
