import type { Host } from "@lanai/browser";
import { expect } from "vitest";
import { WebSocket } from "ws";

/** The globals of Node, as a page whose requests and sockets send a cookie. */
export function hostOf(cookie: string | (() => string), sockets: WebSocket[] = []): Host {
  const jar = (): string => (typeof cookie === "string" ? cookie : cookie());
  class CookieSocket extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols, { headers: { cookie: jar() } });
      sockets.push(this);
    }
  }
  return {
    ...{
      URL,
      AbortController,
      TextDecoder,
      crypto,
      performance,
      console,
      setTimeout,
      clearTimeout,
    },
    WebSocket: CookieSocket,
    fetch: (url: string, init: RequestInit) =>
      fetch(url, { ...init, headers: { ...init.headers, cookie: jar() } }),
    // What is spread over seconds for thousands of pages takes a few milliseconds here.
    random: () => Math.random() / 100,
  } as unknown as Host;
}

type Frame = Readonly<Record<string, unknown>>;

/** A page that writes frames by hand. */
export async function rawPage(port: number, cookie: string, protocol = "lanai.channels.2") {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/live`, [protocol], { headers: { cookie } });
  const frames: Frame[] = [];
  let code: number | undefined;
  socket.on("error", () => {});
  socket.on("message", (data) => frames.push(JSON.parse(String(data)) as Frame));
  socket.on("close", (it) => {
    code = it;
  });
  await expect.poll(() => frames.length > 0 || code !== undefined, { interval: 5 }).toBe(true);
  return {
    ...{ socket, frames },
    get code() {
      return code;
    },
    send: (frame: object | string) =>
      socket.send(typeof frame === "string" ? frame : JSON.stringify(frame)),
    /** Waits for a frame with these members. */
    async receives(members: Frame): Promise<Frame> {
      await expect
        .poll(() => frames, { interval: 5 })
        .toContainEqual(expect.objectContaining(members));
      return frames.find((it) => Object.entries(members).every(([k, v]) => it[k] === v)) as Frame;
    },
    [Symbol.dispose]() {
      socket.terminate();
    },
  };
}

/** A page that reads an event stream, and posts by hand. */
export async function streamPage(url: string, cookie: string) {
  const headers = { cookie, Accept: "text/event-stream" };
  const abort = new AbortController();
  const stream = await fetch(`${url}/live`, { headers, signal: abort.signal });
  let received = "";
  const read = async (): Promise<void> => {
    for await (const part of stream.body ?? []) received += Buffer.from(part);
  };
  const ended = read().catch(() => {});
  await expect.poll(() => received, { interval: 5 }).toContain("welcome");
  const credential = /event: line\ndata: (.*)/.exec(received)?.[1] ?? "";
  const respond = (seq: number, body: string, more: Record<string, string> = {}) => {
    const all = { cookie, "Lanai-Line": credential, "Lanai-Seq": `${seq}`, ...more };
    return fetch(`${url}/live`, { method: "POST", headers: all, body });
  };
  return {
    ...{ credential, ended },
    get received() {
      return received;
    },
    respond,
    post: async (...args: Parameters<typeof respond>) => (await respond(...args)).status,
    async [Symbol.asyncDispose]() {
      abort.abort();
      await ended;
    },
  };
}
