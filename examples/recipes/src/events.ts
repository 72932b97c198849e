import { subscribe } from "node:diagnostics_channel";
import { sameOrigin } from "@lanai/same-origin";
import { type SessionEvent, session } from "@lanai/session";
import Koa from "koa";

for (const name of ["created", "destroyed", "refused", "unavailable"]) {
  subscribe(`lanai:session:${name}`, (message) => {
    const { level, publicId = "-", reason = "", error } = message as SessionEvent;
    console.log(level, name, publicId, reason, error ?? "");
  });
}

const app = new Koa();
app.use(sameOrigin());
app.use(session());
app.use((ctx) => {
  ctx.session.set("seen", new Date());
  ctx.body = "ok\n";
});
app.listen(3000);
