import { type IncomingMessage, request } from "node:http";
import type { Duplex } from "node:stream";
import type { connect, Line } from "@lanai/browser";
import { WebSocket } from "ws";
import type { Worker, World } from "../world.ts";
import type { Live } from "./app.ts";

type Host = NonNullable<NonNullable<Parameters<typeof connect>[1]>["host"]>;

/** A browser with its cookies, which its pages share. */
export class Browser {
  readonly person: string;
  readonly #jar = new Map<string, string>();

  constructor(person: string) {
    this.person = person;
  }

  get cookie(): string {
    return [...this.#jar].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  take({ headers }: IncomingMessage): void {
    for (const line of headers["set-cookie"] ?? []) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (/max-age=0|expires=Thu, 01 Jan 1970/i.test(line)) this.#jar.delete(name);
      else this.#jar.set(name, value);
    }
  }
}

export interface Response {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
}

/** Sends a request over a connection of its own. Rejects if that breaks. */
export function send(
  browser: Browser,
  path: string,
  method: string,
  open: () => Duplex,
  signal?: AbortSignal,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const { cookie } = browser;
    const headers = { ...(cookie && { cookie }), connection: "close" };
    signal?.addEventListener("abort", () => sent.destroy(new Error("aborted")));
    const sent = request({
      ...{ path, method, headers, host: "app.example", createConnection: open },
    });
    sent.on("error", reject);
    sent.on("response", (response) => {
      response.on("error", reject);
      browser.take(response);
      response.resume();
      response.on("end", () => {
        const get = (name: string) =>
          [response.headers[name.toLowerCase()] ?? []].flat()[0] ?? null;
        resolve({ status: response.statusCode ?? 0, headers: { get } });
      });
    });
    sent.end();
  });
}

/** The globals of a page of this browser. `open` connects it to a process of the app. */
export function hostOf(world: World, browser: Browser, open: () => Duplex): Host {
  class PageSocket extends WebSocket {
    constructor(url: string, protocols: string[]) {
      const headers = { cookie: browser.cookie };
      // It has Node's types of a socket: what is used of one is there.
      super(url, protocols, { headers, createConnection: open as never });
      this.on("upgrade", (response) => browser.take(response));
    }
  }
  return {
    ...{ URL, AbortController, TextDecoder, setTimeout, clearTimeout },
    WebSocket: PageSocket,
    performance: { now: () => world.sinceBegan },
    crypto: {
      getRandomValues(bytes: Uint8Array) {
        bytes.set(world.bytes(bytes.length));
        return bytes;
      },
    },
    console: { error() {} },
    location: { href: "http://app.example/page" },
    fetch: async (url: string, { method = "GET", signal }: RequestInit) => {
      const { pathname } = new URL(url);
      const response = await send(browser, pathname, method, open, signal ?? undefined);
      return { ...response, ok: response.status < 300, json: async () => ({}) };
    },
  } as unknown as Host;
}

/** A page of a browser: a process of its own. */
export interface Page {
  readonly name: string;
  readonly browser: Browser;
  readonly worker: Worker;
  readonly line: Line<Live>;
  readonly room: ReturnType<Line<Live>["join"]>;
}
