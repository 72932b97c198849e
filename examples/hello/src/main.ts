import { session } from "@lanai/session";
import Koa from "koa";

const app = new Koa();
app.use(session());

app.use((ctx) => {
  const visits = ctx.session.getInt("visits") + 1;
  ctx.session.set("visits", visits);
  ctx.body = `Visit ${visits}\n`;
});

app.listen(3000);
