import { createClients } from "@lanai/clients";
import { createSessions } from "@lanai/session";
import { attachUpgrade } from "@lanai/websocket";
import Koa from "koa";

const sessions = createSessions();
const clients = createClients({ sessions });

const app = new Koa();
app.use(sessions.middleware());
app.use(clients.middleware());

app.use(async (ctx) => {
  if (ctx.path === "/live") {
    const listener = await clients.attach(ctx);
    listener.on("say", (text) => clients.send({ user: "ada" }, "said", text));
  } else if (ctx.path === "/sign-in") {
    ctx.session.login("ada");
    ctx.body = "Now open /live, in as many tabs as you like\n";
  } else if (ctx.path === "/sign-out") {
    const { sessions: ended, here } = await clients.terminate({ user: "ada" });
    ctx.body = `${ended} sessions and ${here} tabs ended\n`;
  }
});

const server = app.listen(Number(process.env.PORT ?? 3000));
attachUpgrade(server, app);
