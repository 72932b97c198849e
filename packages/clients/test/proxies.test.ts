import { once } from "node:events";
import { request } from "node:http";
import { createClients } from "@lanai/clients";
import { createSessions } from "@lanai/session";
import { sse } from "@lanai/sse";
import { attachUpgrade } from "@lanai/websocket";
import Koa from "koa";
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import { PROXIES } from "../../../scripts/testing/proxies.ts";

/** An app behind a proxy, which says whose request or connection it sees. */
async function site() {
  const sessions = createSessions();
  const clients = createClients({ sessions });
  const app = new Koa();
  app.proxy = true;
  app.silent = true;
  app.use(sessions.middleware());
  app.use(clients.middleware());
  app.use(sse());
  app.use(async (ctx) => {
    if (ctx.path === "/live") {
      const listener = await clients.attach(ctx);
      const { client, session, user } = listener;
      listener.send("seen", { client, session, user });
    } else {
      if (ctx.path === "/sign-in") ctx.session.login("ada");
      const { publicId: session, userId: user } = ctx.session;
      ctx.body = { client: ctx.client?.id, session, user };
    }
  });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  attachUpgrade(server, app);
  const { port } = server.address() as { port: number };
  return {
    port,
    async [Symbol.asyncDispose]() {
      await clients.close();
      server.closeAllConnections();
      server.close();
    },
  };
}

/** A raw request: fetch sends no Host of one's own. */
async function ask(port: number, path: string, headers: Record<string, string>) {
  const sent = request({ port, host: "127.0.0.1", path, headers: { ...headers } }).end();
  const [response] = await once(sent, "response");
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) {
    text += chunk;
    // An event stream goes on.
    if (path === "/live" && text.includes('"client"')) break;
  }
  const cookies = [response.headers["set-cookie"] ?? []].flat().map((it) => it.split(";")[0]);
  return { text, cookies };
}

const cookieNames = (cookies: readonly (string | undefined)[]) =>
  cookies.map((it) => it?.split("=")[0]);

test.each(PROXIES)(
  "$name: a page's socket and its event stream are of the browser, the session and the user of its other requests",
  async (proxy) => {
    await using it = await site();
    const page = { ...proxy.request, Origin: proxy.origin };
    const first = await ask(it.port, "/", page);
    const Cookie = first.cookies.join("; ");
    const signIn = await ask(it.port, "/sign-in", { ...page, Cookie });
    const jar = new Map([...first.cookies, ...signIn.cookies].map((c) => [c?.split("=")[0], c]));
    const headers = { Cookie: [...jar.values()].join("; ") };
    const me = JSON.parse((await ask(it.port, "/", { ...page, ...headers })).text);
    expect(me).toMatchObject({ client: expect.any(String), user: "ada" });

    const stream = await ask(it.port, "/live", { ...page, ...headers });
    expect(JSON.parse(/data: (\{"client".*)/.exec(stream.text)?.[1] ?? "")).toEqual(me);

    const socket = new WebSocket(`ws://127.0.0.1:${it.port}/live`, {
      headers: { ...(proxy.upgrade ?? proxy.request), Origin: proxy.origin, ...headers },
    });
    socket.on("error", () => {});
    if (proxy.loses) {
      // The page's origin isn't known: no connection is better than one of somebody else.
      const [, response] = await once(socket, "unexpected-response");
      expect(response.statusCode).toBe(403);
      return;
    }
    expect(cookieNames(first.cookies).includes("__Host-cid")).toBe(
      proxy.origin.startsWith("https:"),
    );
    const [message] = await once(socket, "message");
    expect(JSON.parse(String(message))).toEqual({ event: "seen", data: me });
    socket.terminate();
  },
);
