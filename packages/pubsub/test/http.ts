import { Agent, type ClientRequest, type IncomingMessage, request } from "node:http";

export { serve } from "../../session/test/http.ts";

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
