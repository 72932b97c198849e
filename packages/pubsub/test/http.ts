import { Agent, type ClientRequest, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type Koa from "koa";

/** A Koa app on a free port of loopback, closed by `await using`. */
export interface Served extends AsyncDisposable {
  readonly url: string;
  readonly server: Server;
}

export async function serve(app: Koa): Promise<Served> {
  const server = app.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    server,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** One request on a connection of its own, that can be cut. */
export interface Client {
  readonly request: ClientRequest;
  readonly response: Promise<IncomingMessage>;
  /** What the server has sent so far. */
  text(): string;
  /** Cuts the connection. */
  leave(): void;
}

const agent = new Agent({ keepAlive: false, maxSockets: Infinity });

export function open(url: string, body?: string): Client {
  const made = request(url, { agent, method: body === undefined ? "GET" : "POST" });
  let text = "";
  const response = new Promise<IncomingMessage>((resolve, reject) => {
    made.once("response", (it) => {
      it.setEncoding("utf8");
      it.on("data", (chunk: string) => {
        text += chunk;
      });
      it.on("error", () => {});
      resolve(it);
    });
    made.once("error", reject);
  });
  response.catch(() => {});
  made.on("error", () => {});
  made.end(body);
  return { request: made, response, text: () => text, leave: () => made.destroy() };
}
