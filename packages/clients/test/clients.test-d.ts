import {
  type Clients,
  createClients,
  type Delivery,
  graphqlWs,
  type Listener,
  type Target,
} from "@lanai/clients";
import { createPubSub } from "@lanai/pubsub";
import { createSessions } from "@lanai/session";
import { useServer } from "graphql-ws/use/ws";
import Koa from "koa";
import { WebSocketServer } from "ws";

const sessions = createSessions();
const clients: Clients = createClients({ sessions, pubsub: createPubSub() });
createClients({ sessions, pubsub: createPubSub().backend });
// @ts-expect-error: there is always a session manager.
createClients({});

const app = new Koa();
app.use(clients.middleware());
app.use(async (ctx) => {
  const id: string | undefined = ctx.client?.id;
  const listener: Listener = await clients.attach(ctx, { anonymous: true, idle: "messages" });
  // @ts-expect-error: what a browser sends is unknown.
  listener.on("say", (data: string) => data);
  for await (const news of listener.events<{ text: string }>("news")) news.text.trim();
  // @ts-expect-error: the first is of the same type.
  listener.events<{ text: string }>("news", { first: { text: 1 } });
  await clients.attach(ctx, { connect: () => ({ send: ({ frame }) => void frame, end() {} }) });
  // @ts-expect-error: a sink can be ended.
  await clients.attach(ctx, { connect: () => ({ send() {} }) });
  ctx.body = id;
});

const target: Target = { user: "ada" };
const delivery: Promise<Delivery> = clients.send(target, "notice", { text: "hi" });
void delivery;
void clients.terminate({ session: "public id" }, { except: undefined });
// @ts-expect-error: a listener is disconnected.
void clients.terminate({ listener: "id" });
// @ts-expect-error: and nothing else.
void clients.disconnect({ user: "ada" });
clients.on("empty", (event) => ("user" in event ? event.user : event.client));
clients.on("join", ({ user }) => user?.trim());
// @ts-expect-error: there is no such event.
clients.on("gone", () => {});

interface Events {
  readonly said: { readonly text: string };
  readonly typing: undefined;
}
const typed: Clients<Events> = createClients<Events>({ sessions });
void typed.send(target, "said", { text: "aloha" });
void typed.send(target, "typing");
void typed.send(target, "typing", undefined, { except: "id" });
// @ts-expect-error: there is no such event.
void typed.send(target, "sayd", { text: "aloha" });
// @ts-expect-error: the event has data.
void typed.send(target, "said");
// @ts-expect-error: other data.
void typed.send({ everyone: true }, "said", { text: 1 });
app.use(async (ctx) => {
  const listener: Listener<Events> = await typed.attach(ctx);
  listener.on("said", ({ text }) => text.trim());
  // @ts-expect-error: a wrong name.
  listener.on("sayd", () => {});
  listener.send("said", { text: "aloha" });
  // @ts-expect-error: a wrong name.
  listener.send("sayd", { text: "aloha" });
  // @ts-expect-error: the event has data.
  listener.send("said");
});
// Those whose events are typed are clients like others.
graphqlWs(typed);

useServer({ ...graphqlWs(clients).hooks }, new WebSocketServer({ noServer: true }));
