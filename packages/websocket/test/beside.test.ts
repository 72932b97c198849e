import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { attachUpgrade } from "@lanai/websocket";
import { createClient } from "graphql-ws";
import { useServer } from "graphql-ws/use/ws";
import Koa from "koa";
import { Server as SocketIo } from "socket.io";
import { io } from "socket.io-client";
import { describe, expect, test, vi } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { until } from "../../../scripts/testing/until.ts";
import { handshake, RawClient } from "./raw-client.ts";
import { appOf } from "./site.ts";

// As Node resolves it for graphql-ws: Vitest finds another copy, and two don't go together.
const { buildSchema } = createRequire(import.meta.url)("graphql") as typeof import("graphql");

async function listening(server: Server): Promise<number> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  return (server.address() as AddressInfo).port;
}

function serverOf(app: Koa): Server {
  const callback = app.callback();
  return createServer((request, response) => void callback(request, response));
}

const notSocketIo = {
  match: ({ url = "" }: { url?: string | undefined }) => !url.startsWith("/socket.io/"),
};

test("socket.io, graphql-ws and an app share a server", async () => {
  const app = appOf((socket) => void socket.on("message", (data) => socket.send(`app ${data}`)));
  const server = serverOf(app);
  const socketIo = new SocketIo(server, { destroyUpgrade: false });
  socketIo.on("connection", (socket) => {
    socket.on("say", (text, answer) => answer(`socket.io ${text}`));
  });
  const graphqlWs = new WebSocketServer({ noServer: true });
  const schema = buildSchema("type Query { none: Int } type Subscription { said: String }");
  const subscription = {
    async *said() {
      yield { said: "graphql-ws hello" };
    },
  };
  useServer({ schema, roots: { subscription } }, graphqlWs);
  server.on("upgrade", (request, socket, head) => {
    if (request.url !== "/graphql") return;
    graphqlWs.handleUpgrade(request, socket, head, (it) => {
      graphqlWs.emit("connection", it, request);
    });
  });
  attachUpgrade(server, app, {
    match: (request) => notSocketIo.match(request) && request.url !== "/graphql",
  });
  const port = await listening(server);
  const theirs = io(`http://127.0.0.1:${port}`, { transports: ["websocket"] });
  const graphql = createClient({
    url: `ws://127.0.0.1:${port}/graphql`,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
  });
  const ours = new WebSocket(`ws://127.0.0.1:${port}/`);
  try {
    await once(ours, "open");
    const results = graphql.iterate({ query: "subscription { said }" });
    expect((await results.next()).value).toEqual({ data: { said: "graphql-ws hello" } });
    expect(await theirs.emitWithAck("say", "hello")).toBe("socket.io hello");
    ours.send("hello");
    const [answer] = await once(ours, "message");
    expect(String(answer)).toBe("app hello");
  } finally {
    ours.terminate();
    theirs.disconnect();
    await graphql.dispose();
    await socketIo.close();
  }
});

test("a slow check of ours outlives the second after which socket.io ends strange upgrades", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const app = new Koa();
  app.use(async (ctx) => {
    await promise;
    (await ctx.upgrade()).send("slow");
  });
  const server = serverOf(app);
  const socketIo = new SocketIo(server, { destroyUpgrade: false, destroyUpgradeTimeout: 1 });
  attachUpgrade(server, app, notSocketIo);
  const port = await listening(server);
  const ours = new WebSocket(`ws://127.0.0.1:${port}/`);
  setTimeout(resolve, 30);
  const [answer] = await once(ours, "message");
  expect(String(answer)).toBe("slow");
  ours.terminate();
  await socketIo.close();
});

describe("match", () => {
  test("two apps share a server by their paths", async () => {
    const one = appOf((socket) => socket.send("one"));
    const two = appOf((socket) => socket.send("two"));
    const server = createServer();
    attachUpgrade(server, one, { match: ({ url }) => url === "/one" });
    attachUpgrade(server, two, { match: ({ url }) => url === "/two" });
    const port = await listening(server);
    for (const name of ["one", "two"]) {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/${name}`);
      const [text] = await once(socket, "message");
      expect(String(text)).toBe(name);
      socket.terminate();
    }
    server.close();
  });

  test("what matches nothing is a plain request where nobody else listens", async () => {
    const app = appOf(() => {});
    const server = serverOf(app);
    attachUpgrade(server, app, { match: () => false });
    const port = await listening(server);
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
    const [, answer] = await once(socket, "unexpected-response");
    expect(answer.statusCode).toBe(426);
    server.close();
    server.closeAllConnections();
  });

  test("one that throws is reported, and takes the request for not its own", async () => {
    const app = appOf(() => {});
    const errors = vi.fn();
    app.on("error", errors);
    const server = serverOf(app);
    attachUpgrade(server, app, {
      match: ({ url = "" }) => new URL(url, "http://localhost").pathname === "/",
    });
    const port = await listening(server);
    using client = await RawClient.to(port);
    client.socket.write(handshake("//"));
    await client.until("426");
    expect(errors.mock.calls[0]?.[0]).toMatchObject({ code: "ERR_INVALID_URL" });
    server.close();
  });

  test("one that throws before the app listens for errors is Koa's to print", async () => {
    const print = vi.spyOn(console, "error").mockImplementation(() => {});
    const app = appOf(() => {});
    const server = createServer();
    attachUpgrade(server, app, {
      match: () => {
        throw new Error("match");
      },
    });
    const port = await listening(server);
    using client = await RawClient.to(port);
    client.socket.write(handshake());
    await until(() => expect(print).toHaveBeenCalledWith(expect.stringContaining("match")));
    print.mockRestore();
    server.close();
  });

  describe("that no listener of several takes", () => {
    const nobody = async () => {
      const server = createServer();
      const app = appOf(() => {});
      const options = { match: () => false, handshakeTimeout: 20 };
      attachUpgrade(server, app, options);
      attachUpgrade(server, app, options);
      return { server, port: await listening(server) };
    };

    test("is cut off after the handshake's time", async () => {
      const { server, port } = await nobody();
      using client = await RawClient.to(port);
      client.socket.write(handshake());
      await client.closed;
      expect(client.received).toBe("");
      server.close();
    });

    test("may be reset by its client", async () => {
      const { server, port } = await nobody();
      using client = await RawClient.to(port);
      client.socket.write(handshake());
      const [, taken] = await once(server, "upgrade");
      const closed = new Promise((resolve) => taken.once("close", resolve));
      client.socket.resetAndDestroy();
      await closed;
      server.close();
    });
  });

  test("leaves what another app takes as much time as that has", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const slow = appOf((socket) => socket.send("slow"));
    slow.middleware.unshift(async (_ctx, next) => {
      await promise;
      await next();
    });
    const server = createServer();
    attachUpgrade(server, slow);
    attachUpgrade(
      server,
      appOf(() => {}),
      { match: () => false, handshakeTimeout: 1 },
    );
    const port = await listening(server);
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
    setTimeout(resolve, 30);
    const [text] = await once(socket, "message");
    expect(String(text)).toBe("slow");
    socket.terminate();
    server.close();
  });
});
