import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import { expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { startNginx } from "../../../scripts/services/nginx.ts";
import { startRedis } from "../../../scripts/services/redis.ts";
import { freePort } from "../../../scripts/services/server-process.ts";
import { isLong } from "../../../scripts/testing/chance.ts";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "./browser.ts";

const PROCESSES = 3;
/** A reload of nginx closes idle connections of clients, of which browsers send again and `fetch` doesn't. */
const ANEW = { headers: { Connection: "close" } };
const ROUNDS = isLong ? 10 : 1;

async function startProcess(port: number, redis: number): Promise<ChildProcess> {
  const program = fileURLToPath(new URL("rolling-process.ts", import.meta.url));
  const settings = JSON.stringify({ port, redis });
  const child = spawn(process.execPath, ["--conditions=@lanai/source", program, settings], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child.stdout as NodeJS.ReadableStream, "data");
  return child;
}

/** A visitor who counts in their session, request after request. */
async function count(url: string, isOver: () => boolean): Promise<void> {
  const browser = new Browser({ url });
  let counted = 0;
  while (!isOver()) {
    const response = await browser.get("/count", ANEW);
    expect([response.status, await response.text()]).toEqual([200, `${++counted}`]);
  }
  expect(counted).toBeGreaterThan(0);
}

/** A page that keeps a WebSocket open, and comes back with its cursor when it is asked to. */
class Page {
  readonly received: number[] = [];
  readonly said: string[] = [];
  readonly codes: number[] = [];
  readonly #name: string;
  readonly #url: string;
  #cursor: string | undefined;
  #socket: WebSocket | undefined;
  #isOver = false;

  constructor(name: string, url: string) {
    this.#name = name;
    this.#url = `${url.replace("http", "ws")}/live`;
  }

  async run(): Promise<void> {
    while (!this.#isOver) {
      const since = this.#cursor === undefined ? "" : `?since=${encodeURIComponent(this.#cursor)}`;
      const socket = new WebSocket(this.#url + since);
      this.#socket = socket;
      socket.on("message", (data) => this.#receive(JSON.parse(String(data))));
      socket.on("error", () => {});
      const timer = setInterval(() => this.#say(socket), 10);
      const code = await new Promise<number>((resolve) => socket.once("close", resolve));
      clearInterval(timer);
      this.codes.push(code);
    }
  }

  #receive({ event, data }: { event: string; data: { n: number; id: string } }): void {
    if (event !== "said") return;
    this.received.push(data.n);
    this.#cursor = data.id;
  }

  #say(socket: WebSocket): void {
    if (socket.readyState !== WebSocket.OPEN) return;
    const text = `${this.#name}-${this.said.length}`;
    this.said.push(text);
    socket.send(JSON.stringify({ event: "say", data: text }));
  }

  end(): void {
    this.#isOver = true;
    this.#socket?.close(1000);
  }
}

/** A page that reads an event stream, and comes back with its cursor whenever that ends. */
class EventPage {
  readonly received: number[] = [];
  streams = 0;
  readonly #url: string;
  #cursor = "";
  readonly #closed = new AbortController();

  constructor(url: string) {
    this.#url = `${url}/live`;
  }

  async run(): Promise<void> {
    const { signal } = this.#closed;
    const headers = { ...ANEW.headers, Accept: "text/event-stream" };
    while (!signal.aborted) {
      const since = this.#cursor && `?since=${encodeURIComponent(this.#cursor)}`;
      try {
        const response = await fetch(this.#url + since, { headers, signal });
        expect(response.status).toBe(200);
        this.streams += 1;
        await this.#read(response.body as ReadableStream<Uint8Array>);
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    }
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    let text = "";
    for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
      const events = (text + chunk).split("\n\n");
      text = events.pop() ?? "";
      for (const event of events) {
        const data = /^event: ?said\n(?:.*\n)*?data: ?(.*)$/m.exec(event)?.[1];
        if (data === undefined) continue;
        const { n, id } = JSON.parse(data);
        this.received.push(n);
        this.#cursor = id;
      }
    }
  }

  end(): void {
    this.#closed.abort();
  }
}

test("a rolling restart of three processes behind nginx, under load with live tabs, loses and duplicates nothing, and answers no 5xx", async () => {
  await using redis = await startRedis();
  const ports = await Promise.all(Array.from({ length: PROCESSES }, freePort));
  const processes = await Promise.all(ports.map((port) => startProcess(port, redis.port)));
  await using nginx = await startNginx(ports);

  let isOver = false;
  const visitors = [1, 2, 3, 4].map(() => count(nginx.url, () => isOver));
  const pages = [1, 2, 3, 4, 5, 6].map((n) => new Page(`page-${n}`, nginx.url));
  const readers = [new EventPage(nginx.url), new EventPage(nginx.url)];
  const running = [...pages, ...readers].map((page) => page.run());
  onTestFinished(() => {
    isOver = true;
    for (const page of [...pages, ...readers]) page.end();
  });
  let published = 0;
  const publisher = (async () => {
    while (!isOver) {
      const response = await fetch(`${nginx.url}/publish?n=${published}`, ANEW);
      expect(response.status).toBe(200);
      published += 1;
    }
  })();
  // A failure under load ends the test at once.
  const load = Promise.all([...visitors, publisher]);
  for (const page of running) page.catch(() => {});
  const restart = (async () => {
    for (let round = 0; round < ROUNDS; round++) {
      for (const [at, port] of ports.entries()) {
        await nginx.passTo(ports.filter((it) => it !== port));
        const exited = once(processes[at] as ChildProcess, "exit");
        processes[at]?.kill("SIGTERM");
        expect(await exited).toEqual([0, null]);
        processes[at] = await startProcess(port, redis.port);
        await nginx.passTo(ports);
        await wait(50);
      }
    }
  })();
  await Promise.race([restart, load]);
  await restart;
  isOver = true;
  await load;

  const all = Array.from({ length: published }, (_, n) => n);
  for (const page of [...pages, ...readers]) {
    await until(() => expect(page.received).toEqual(all));
    page.end();
  }
  await Promise.all(running);
  // Every page was asked to come back, and none was cut off.
  const codes = new Set(pages.flatMap((page) => page.codes));
  expect([...codes].filter((code) => code !== 1012 && code !== 1000 && code !== 1005)).toEqual([]);
  expect(codes).toContain(1012);
  for (const { streams } of readers) expect(streams).toBeGreaterThan(1);

  const client = new Redis({ port: redis.port });
  await until(async () => {
    const heard = await client.lrange("said", 0, -1);
    expect(heard.sort()).toEqual(pages.flatMap((page) => page.said).sort());
  });
  client.disconnect();
});
