import type { Listener } from "@lanai/clients";
import { WebSocket } from "ws";
import { until } from "../../../scripts/testing/until.ts";
import type { Site } from "./site.ts";

/** One browser: its cookies, its requests, its tabs. */
export class Browser {
  readonly cookies: Map<string, string> = new Map();
  #url: string;
  readonly tabs: Tab[] = [];

  constructor(site: Pick<Site, "url">) {
    this.#url = site.url;
  }

  /** The same browser at another process of the same app. */
  at(site: Pick<Site, "url">): this {
    this.#url = site.url;
    return this;
  }

  get cookie(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  async get(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { ...(this.cookie && { cookie: this.cookie }), ...init.headers };
    const response = await fetch(this.#url + path, { redirect: "manual", ...init, headers });
    for (const line of response.headers.getSetCookie()) this.keep(line);
    return response;
  }

  keep(line: string): void {
    const [pair = ""] = line.split("; ");
    const at = pair.indexOf("=");
    if (/Max-Age=0(?:;|$)/i.test(line)) this.cookies.delete(pair.slice(0, at));
    else this.cookies.set(pair.slice(0, at), pair.slice(at + 1));
  }

  async signIn(user: string): Promise<this> {
    await this.get("/");
    await this.get(`/sign-in?user=${user}`);
    return this;
  }

  /** A tab with a WebSocket; not open yet. */
  tab(path = "/live", headers: Record<string, string> = {}): Tab {
    const tab = new Tab(`${this.#url.replace("http", "ws")}${path}`, {
      ...(this.cookie && { cookie: this.cookie }),
      ...headers,
    });
    tab.socket.on("upgrade", (response) => {
      for (const line of response.headers["set-cookie"] ?? []) this.keep(line);
    });
    this.tabs.push(tab);
    return tab;
  }

  /** A tab whose listener is live. */
  async open(site: Pick<Site, "listeners">, path?: string): Promise<Tab & { listener: Listener }> {
    const before = site.listeners.length;
    const tab = this.tab(path);
    await tab.opened;
    await until(() => {
      if (site.listeners.length === before) throw new Error("the tab was not attached");
    });
    return Object.assign(tab, { listener: site.listeners.at(-1) as Listener });
  }
}

export interface Received {
  readonly event: string;
  readonly data: unknown;
}

/** A WebSocket of ws, and what came over it. */
export class Tab {
  readonly socket: WebSocket;
  readonly messages: Received[] = [];
  readonly opened: Promise<void>;
  /** The HTTP status of a refusal. */
  readonly refused: Promise<{ status: number; headers: Record<string, unknown>; body: string }>;
  readonly closed: Promise<{ code: number; reason: string }>;

  constructor(url: string, headers: Record<string, string>) {
    this.socket = new WebSocket(url, { headers });
    const { promise, resolve } = Promise.withResolvers<{
      status: number;
      headers: Record<string, unknown>;
      body: string;
    }>();
    this.refused = promise;
    this.opened = new Promise((done, fail) => {
      this.socket.once("open", () => done());
      this.socket.once("error", fail);
    });
    this.opened.catch(() => {});
    this.socket.on("error", () => {});
    this.socket.once("unexpected-response", (_request, response) => {
      let body = "";
      response.on("data", (chunk) => {
        body += chunk;
      });
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
        this.socket.terminate();
      });
    });
    this.closed = new Promise((done) => {
      this.socket.once("close", (code, reason) => done({ code, reason: String(reason) }));
    });
    this.socket.on("message", (data) => this.messages.push(JSON.parse(String(data))));
  }

  say(event: string, data?: unknown): void {
    this.socket.send(JSON.stringify({ event, data }));
  }

  /** The data of the messages of one event. */
  all(event: string): unknown[] {
    return this.messages.filter((it) => it.event === event).map((it) => it.data);
  }

  /** Waits for a message of that event that wasn't waited for before. */
  async next(event: string): Promise<unknown> {
    return until(() => {
      const at = this.messages.findIndex((it) => it.event === event);
      if (at < 0)
        throw new Error(`no message ${event}; there are ${JSON.stringify(this.messages)}`);
      return this.messages.splice(at, 1)[0]?.data;
    });
  }
}
