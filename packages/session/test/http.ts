import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type Koa from "koa";

/** A Koa app on a free port of loopback, closed by `await using`. */
export interface Served extends AsyncDisposable {
  readonly url: string;
  readonly server: Server;
}

export async function serve(app: Koa): Promise<Served> {
  const server = app.listen(0, "127.0.0.1");
  // A client that a busy machine holds up may use a connection again that has been idle for seconds.
  server.keepAliveTimeout = 0;
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

/** One browser: a cookie jar and `fetch`, which follows no redirect by itself. */
export class Browser {
  readonly cookies: Map<string, string> = new Map();
  readonly #url: string;

  constructor(served: Served | string) {
    this.#url = typeof served === "string" ? served : served.url;
  }

  get cookie(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  async request(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.cookies.size > 0 && !headers.has("cookie")) headers.set("cookie", this.cookie);
    const response = await fetch(this.#url + path, { redirect: "manual", ...init, headers });
    for (const line of response.headers.getSetCookie()) this.keep(line);
    return response;
  }

  get(path: string): Promise<Response> {
    return this.request(path);
  }

  post(path: string, body?: Record<string, string>): Promise<Response> {
    return this.request(path, {
      method: "POST",
      ...(body && { body: new URLSearchParams(body) }),
    });
  }

  async text(path: string): Promise<string> {
    return (await this.get(path)).text();
  }

  /** Does with a `Set-Cookie` line what a browser does. */
  keep(line: string): void {
    const [pair = "", ...attributes] = line.split(/; */);
    const at = pair.indexOf("=");
    const name = pair.slice(0, at);
    if (attributes.some((it) => /^max-age=0$/i.test(it))) this.cookies.delete(name);
    else this.cookies.set(name, pair.slice(at + 1));
  }

  /** Another one that holds the same cookies now. */
  clone(): Browser {
    const twin = new Browser(this.#url);
    for (const [name, value] of this.cookies) twin.cookies.set(name, value);
    return twin;
  }
}
