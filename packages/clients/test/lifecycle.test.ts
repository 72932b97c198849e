import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { Agent, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { type GracefulShutdown, gracefulShutdown, healthProbe } from "@lanai/clients/lifecycle";
import { createPubSub, memoryPubSub, type PubSub } from "@lanai/pubsub";
import { memoryStore } from "@lanai/session";
import Koa, { type Context } from "koa";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { WebSocket } from "ws";
import { freePort } from "../../../scripts/services/server-process.ts";
import { until } from "../../../scripts/testing/until.ts";
import { captureWarnings } from "../../../scripts/testing/warnings.ts";

async function serve(use: (ctx: Context) => unknown): Promise<{ server: Server; url: string }> {
  const app = new Koa();
  app.use(async (ctx) => void (await use(ctx)));
  const server = app.listen(0, "127.0.0.1");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, "listening");
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const manual = { signals: [], exit: () => {} };

async function get(url: string, agent?: Agent): Promise<IncomingMessage & { text: string }> {
  const sent = request(url, agent ? { agent } : {}).end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return Object.assign(response, { text: Buffer.concat(await response.toArray()).toString() });
}

describe("gracefulShutdown", () => {
  test("goes on for the delay, then takes nothing new, and lets run what is under way", async () => {
    const isUnderWay = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const order: string[] = [];
    const { server, url } = await serve(async (ctx) => {
      if (ctx.path === "/slow") {
        isUnderWay.resolve();
        await goOn.promise;
      }
      ctx.body = ctx.path;
    });
    const isLeaving = Promise.withResolvers<void>();
    const shutdown = gracefulShutdown({
      ...{ ...manual, server, delay: 300 },
      live: [
        {
          close: async () => {
            order.push("live");
            isLeaving.resolve();
          },
        },
      ],
      resources: [() => order.push("bus"), () => order.push("store")],
    });
    const agent = new Agent({ keepAlive: true });
    onTestFinished(() => agent.destroy());
    expect((await get(`${url}/`, agent)).headers.connection).toBe("keep-alive");
    const slow = get(`${url}/slow`, agent);
    await isUnderWay.promise;
    const ended = shutdown.begin();
    expect(shutdown.state).toBe("leaving");
    // A load balancer that hasn't noticed yet loses nothing, and learns to make new connections.
    const during = await get(`${url}/during`, agent);
    expect([during.statusCode, during.headers.connection]).toEqual([200, "close"]);
    await isLeaving.promise;
    expect(shutdown.state).toBe("closing");
    await expect(get(`${url}/late`)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    expect(order).toEqual(["live"]);
    goOn.resolve();
    const { statusCode, text, headers } = await slow;
    expect([statusCode, text, headers.connection]).toEqual([200, "/slow", "close"]);
    expect(await ended).toBe(0);
    expect(order).toEqual(["live", "bus", "store"]);
    expect(shutdown.state).toBe("closed");
  });

  test("gives each later part less of over if the parts before it took long, so that all end within timeout", async () => {
    const { server } = await serve(() => {});
    let elapsed = 0;
    const now = vi.spyOn(performance, "now").mockImplementation(() => elapsed);
    onTestFinished(() => now.mockRestore());
    const given: (number | undefined)[] = [];
    const part = (takes: number) => ({
      close: async ({ over }: { over?: number } = {}) => {
        given.push(over);
        elapsed += takes;
      },
    });
    const shutdown = gracefulShutdown({
      ...{ ...manual, server, delay: 0, over: 12_000, timeout: 20_000 },
      live: [part(12_000), part(2_000), part(9_000), part(0)],
    });
    expect(await shutdown.begin()).toBe(0);
    expect(given).toEqual([12_000, 2_000, 2_000, 0]);
  });

  test("cuts what is not over in time, and says so by its exit code", async () => {
    const { server, url } = await serve(() => new Promise(() => {}));
    const shutdown = gracefulShutdown({ ...manual, server, delay: 0, timeout: 20 });
    const stuck = get(url).catch((error: unknown) => error);
    await until(async () => expect(await connections(server)).toBe(1));
    expect(await shutdown.begin()).toBe(1);
    expect(await stuck).toMatchObject({ code: "ECONNRESET" });
  });

  test("closes the resources that are left when one fails", async () => {
    const { server } = await serve(() => {});
    const warnings = captureWarnings();
    let isClosed = false;
    const shutdown = gracefulShutdown({
      ...{ ...manual, server, delay: 0 },
      resources: [
        () => Promise.reject(new Error("the bus is down")),
        () => {
          isClosed = true;
        },
      ],
    });
    expect(await shutdown.begin()).toBe(1);
    expect(isClosed).toBe(true);
    expect(warnings).toEqual(["the bus is down"]);
  });

  test.each([
    [{}, /server must be a server/],
    [{ server: { close() {}, listen() {} }, live: [{}] }, /live must be an array/],
    [{ server: { close() {}, listen() {} }, wait: 1 }, /no option "wait"/],
    [{ server: { close() {}, listen() {} }, timeout: 0 }, /timeout must be/],
  ])("refuses %o", (options, message) => {
    expect(() => gracefulShutdown(options as never)).toThrow(message);
  });
});

const connections = (server: Server): Promise<number> =>
  new Promise((resolve) => server.getConnections((_error, count) => resolve(count)));

describe("the program of the README", () => {
  async function start(env: Record<string, string>) {
    const port = await freePort();
    const program = fileURLToPath(new URL("graceful.ts", import.meta.url));
    const child: ChildProcess = fork(program, {
      execArgv: ["--conditions=@lanai/source"],
      env: { ...process.env, PORT: `${port}`, ...env },
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const url = `127.0.0.1:${port}`;
    await until(async () => expect((await get(`http://${url}/health`)).statusCode).toBe(200));
    return { child, url };
  }

  test("ends at SIGTERM with code 0: the probe says 503 first, and an open tab's last words reach the others", async () => {
    const { child, url } = await start({ DELAY: "500", OVER: "300" });
    const exited = once(child, "exit");
    const [ada, bob] = await Promise.all(
      [1, 2].map(async () => {
        const socket = new WebSocket(`ws://${url}/live`);
        const texts: string[] = [];
        socket.on("message", (data) => texts.push(String(data)));
        const closed = once(socket, "close");
        await once(socket, "open");
        return { socket, texts, closed };
      }),
    );
    child.kill("SIGTERM");
    await until(async () => expect((await get(`http://${url}/health`)).statusCode).toBe(503));
    ada?.socket.send(JSON.stringify({ event: "say", data: "last words" }));
    expect((await ada?.closed)?.[0]).toBe(1012);
    expect((await bob?.closed)?.[0]).toBe(1012);
    expect(bob?.texts).toEqual([JSON.stringify({ event: "said", data: "last words" })]);
    expect(await exited).toEqual([0, null]);
  });

  test("ends at a second signal at once, with code 1", async () => {
    const { child } = await start({ DELAY: "60000" });
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    child.kill("SIGINT");
    expect(await exited).toEqual([1, null]);
  });
});

describe("healthProbe", () => {
  const ask = async (url: string) => {
    const { statusCode, text, headers } = await get(url);
    expect(headers["cache-control"]).toBe("no-store");
    return [statusCode, JSON.parse(text)];
  };

  test("answers 200 while the store loads and the bus brings back what is published, and 503 else", async () => {
    const store = memoryStore();
    const bus = memoryPubSub();
    let storeState: "up" | "down" | "mute" = "up";
    let busState: "up" | "down" | "mute" = "up";
    const never = () => new Promise<never>(() => {});
    const probe = healthProbe({
      store: {
        load: (key) => {
          if (storeState === "mute") return never();
          if (storeState === "down") throw new Error("secret address");
          return store.load(key);
        },
      },
      pubsub: {
        ...bus,
        subscribe: bus.subscribe.bind(bus),
        publish: (...args: Parameters<PubSub["publish"]>) =>
          busState === "mute"
            ? never()
            : busState === "down"
              ? Promise.reject(new Error("secret address"))
              : bus.publish(...args),
      } as PubSub,
      ...{ maxAge: 0, timeout: 50 },
    });
    const { url } = await serve(probe);
    expect(await ask(url)).toEqual([200, { status: "ok", checks: { store: "ok", bus: "ok" } }]);
    for (const state of ["down", "mute"] as const) {
      storeState = state;
      const one = { status: "down", checks: { store: "down", bus: "ok" } };
      expect(await ask(url)).toEqual([503, one]);
      busState = state;
      const both = { status: "down", checks: { store: "down", bus: "down" } };
      expect(await ask(url)).toEqual([503, both]);
      storeState = "up";
      busState = "up";
      expect((await ask(url))[0]).toBe(200);
    }
  });

  test("says that the process is leaving, and asks neither store nor bus more than once for many probes", async () => {
    let loads = 0;
    const shutdown: { state: GracefulShutdown["state"] } = { state: "running" };
    const store = { load: () => Promise.resolve({ status: "none" as const, n: loads++ }) };
    const pubsub = createPubSub();
    const { url } = await serve(healthProbe({ store, pubsub, shutdown, maxAge: 3_600_000 }));
    await Promise.all(Array.from({ length: 10 }, () => ask(url)));
    expect(loads).toBe(1);
    shutdown.state = "leaving";
    const [status, body] = await ask(url);
    expect([status, body.status]).toEqual([503, "leaving"]);
  });
});
