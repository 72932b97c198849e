import Router from "@koa/router";
import { sameOrigin } from "@lanai/same-origin";
import { createSessions, memoryStore, requireSession } from "@lanai/session";
import Koa from "koa";

interface Office {
  role: "clerk" | "chief";
}

const visitors = createSessions({ store: memoryStore() });
const staff = createSessions<Office>({
  store: memoryStore(),
  property: "staff",
  name: "staff",
  idleTimeout: 10 * 60_000,
});

const office = new Router({ prefix: "/office" });
office.use(staff.middleware());

office.post("/sign-in", (ctx) => {
  const session = staff.from(ctx); // Session<Office>, where ctx.session is a visitor's
  session.login("grace");
  session.set("role", "chief");
  ctx.status = 204;
});

office.get("/", requireSession({ user: true, property: "staff" }), (ctx) => {
  ctx.body = `${staff.from(ctx).get("role")} ${staff.from(ctx).userId}\n`;
});

const app = new Koa();
app.use(sameOrigin());
app.use(visitors.middleware());
app.use(office.routes());
app.listen(3000);
