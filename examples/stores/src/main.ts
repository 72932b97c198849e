import { sameOrigin } from "@lanai/same-origin";
import { createSessions } from "@lanai/session";
import Koa from "koa";
import { openStore } from "./open-store.ts";

const { STORE = "memory", PORT = "3000" } = process.env;

const start = async () => {
  const app = new Koa();
  app.use(sameOrigin());
  app.use(createSessions({ store: await openStore(STORE) }).middleware());

  app.use(async (ctx) => {
    if (ctx.path === "/leave") await ctx.session.destroy();
    else await ctx.session.update("visits", (visits) => Number(visits ?? 0) + 1);
    ctx.body = `Visit ${ctx.session.getInt("visits")}, kept by ${STORE}\n`;
  });

  app.listen(Number(PORT));
};

void start();
