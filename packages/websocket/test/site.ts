import { once } from "node:events";
import type { IncomingMessage, Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { AttachUpgradeOptions, UpgradedSocket, Upgrades } from "@lanai/websocket";
import { attachUpgrade } from "@lanai/websocket";
import Koa from "koa";
import { type ClientOptions, WebSocket } from "ws";
import { serve } from "../../session/test/http.ts";

export interface Site extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly server: Server;
  readonly upgrades: Upgrades;
  /** What the app reported. */
  readonly errors: unknown[];
  connect(path?: string, options?: ClientOptions & { protocols?: string[] }): Promise<Client>;
  /** The plain answer that a WebSocket request gets. */
  refusal(path?: string, options?: ClientOptions & { protocols?: string[] }): Promise<Refusal>;
}

interface Client {
  readonly socket: WebSocket;
  /** The 101. */
  readonly head: IncomingMessage;
  /** The texts that have come, in order. */
  readonly messages: string[];
  readonly closed: Promise<{ code: number; reason: string }>;
}

interface Refusal {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** A server that runs `app`, its WebSocket requests included. */
export async function siteOf(app: Koa, options?: AttachUpgradeOptions): Promise<Site> {
  const errors: unknown[] = [];
  app.on("error", (error) => errors.push(error));
  const served = await serve(app);
  const upgrades = attachUpgrade(served.server, app, options);
  const { port } = served.server.address() as AddressInfo;
  const open = (
    path: string,
    { protocols = [], ...rest }: ClientOptions & { protocols?: string[] },
  ) => new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, rest);
  return {
    port,
    url: served.url,
    server: served.server,
    upgrades,
    errors,
    async connect(path = "/", clientOptions = {}) {
      const socket = open(path, clientOptions);
      const messages: string[] = [];
      socket.on("message", (data) => messages.push(String(data)));
      const closed = new Promise<{ code: number; reason: string }>((resolve) => {
        socket.on("close", (code, reason) => resolve({ code, reason: String(reason) }));
      });
      const [[head]] = await Promise.all([once(socket, "upgrade"), once(socket, "open")]);
      return { socket, head, messages, closed };
    },
    async refusal(path = "/", clientOptions = {}) {
      const socket = open(path, clientOptions);
      socket.on("upgrade", () => socket.terminate());
      const [, answer] = (await once(socket, "unexpected-response")) as [unknown, IncomingMessage];
      const { statusCode = 0, headers } = answer;
      return { status: statusCode, headers, body: String(Buffer.concat(await answer.toArray())) };
    },
    async [Symbol.asyncDispose]() {
      for (const socket of upgrades.sockets) socket.terminate();
      await served[Symbol.asyncDispose]();
    },
  };
}

/** An app whose every WebSocket request is upgraded and given to `use`. */
export function appOf(
  use: (socket: UpgradedSocket, ctx: Koa.Context) => unknown,
  App: typeof Koa = Koa,
): Koa {
  const app = new App();
  app.use(async (ctx) => {
    await use(await ctx.upgrade(), ctx);
  });
  return app;
}
