import { on, once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { PassThrough } from "node:stream";
import { type ConnectOptions, connect } from "@lanai/browser";
import { channel, createChannels, type } from "@lanai/channels";
import { createPubSub, memoryPubSub } from "@lanai/pubsub";
import { memoryStore } from "@lanai/session";
import type { Context } from "koa";
import { describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type Clock, stoppedClock } from "./clock.ts";
import { Device } from "./device.ts";
import { heard } from "./events.ts";
import { type Site, type SiteOptions, startSite } from "./site.ts";

const COOKIE = "__Host-bound";
const LIFETIME = 600_000;
const GRACE = 100;

/** How long the cookie of {@link almostStale} is still taken. */
const LEFT = 200;

type TimedSite = Site & Clock;

const startTimed = async (options: SiteOptions = {}): Promise<TimedSite> => {
  const clock = stoppedClock();
  const site = await startSite({
    clock: clock.clock,
    lifetime: LIFETIME,
    grace: GRACE,
    ...options,
  });
  return Object.assign(site, clock);
};

/** A device whose bound cookie is about to be too old, as soon as the clock moves. */
async function almostStale(site: TimedSite): Promise<Device> {
  const device = await (await Device.at(site)).bind();
  site.advance(LIFETIME - LEFT);
  return device;
}

const closeOf = (socket: WebSocket): Promise<number> =>
  new Promise((resolve) => {
    socket.on("error", () => {}).on("close", resolve);
  });

/** A WebSocket that is open. */
async function openSocket(device: Device, path = "/socket"): Promise<WebSocket> {
  const socket = device.open(path);
  await once(socket, "message");
  return socket;
}

/** An event stream of which the beginning has come. */
const openStream = (device: Device, url: string): Promise<{ ended: Promise<string> }> =>
  new Promise((resolve, reject) => {
    get(url, { headers: { cookie: device.cookie } }, (response) => {
      let body = "";
      const ended = new Promise<string>((end) => {
        response.on("error", () => {}).on("close", () => end(body));
      });
      response.on("data", (chunk) => {
        body += chunk;
        resolve({ ended });
      });
    }).on("error", reject);
  });

interface Offered {
  readonly path: string;
  readonly proof: string;
  readonly in: number;
}

/** A tab: its messages in their order, the first of which its listener alone was sent. */
async function openTab(device: Device) {
  const socket = device.open("/tab");
  const messages = on(socket, "message");
  const next = async (): Promise<{ event: string; data: unknown }> => {
    const { value } = await messages.next();
    return JSON.parse(String(value?.[0]));
  };
  const { event, data } = await next();
  expect(event).toBe("bound");
  return { socket, next, offered: data as Offered };
}

const extend = (device: Device, { path, proof }: Offered): Promise<Response> =>
  device.post(path, { "Lanai-Listener": proof });

describe("D1: a live connection lives no longer than the cookie of its handshake and the grace", () => {
  test.each(["/socket", "/fixed-tab", "/tab"])(
    "D1: a WebSocket of %s is closed with 4403",
    async (path) => {
      await using site = await startTimed();
      using ended = heard("ended");
      const device = await almostStale(site);
      const socket = device.open(path);
      await once(socket, "open");
      site.advance(LEFT + GRACE);
      expect(await closeOf(socket)).toBe(4403);
      expect([...ended]).toEqual([
        { level: "info", session: expect.any(String), reason: "proof-too-old" },
      ]);
      expect(site.errors).toEqual([]);
    },
  );

  test("D1: an event stream ends, and is asked to come back", async () => {
    await using site = await startTimed();
    const device = await almostStale(site);
    const { ended } = await openStream(device, `${site.url}/events`);
    site.advance(LEFT + GRACE);
    expect(await ended).toMatch(/data: open\n\nretry: \d{4}\n\n$/);
    expect(site.errors).toEqual([]);
  });

  test("D1: an event stream of a listener ends", async () => {
    await using site = await startTimed();
    const device = await almostStale(site);
    const { ended } = await openStream(device, `${site.url}/fixed-tab`);
    site.advance(LEFT + GRACE);
    expect(await ended).toContain("retry: ");
  });

  test.each<[string, (ctx: Context) => void]>([
    [
      "a stream as the body",
      (ctx) => {
        const stream = new PassThrough();
        stream.write("data: open\n\n");
        ctx.type = "text/event-stream";
        ctx.body = stream;
      },
    ],
    [
      "a response that it writes itself",
      (ctx) => {
        ctx.respond = false;
        ctx.res.write("data: open\n\n");
      },
    ],
  ])("D1: a live response that the app made by hand ends: %s", async (_name, route) => {
    await using site = await startTimed({ route });
    const device = await almostStale(site);
    const { ended } = await openStream(device, `${site.url}/by-hand`);
    site.advance(LEFT + GRACE);
    expect(await ended).toBe("data: open\n\n");
  });

  test("D1: one that was opened before the registration ends too", async () => {
    await using site = await startTimed();
    const device = await Device.at(site);
    await device.fetch("/sign-in");
    site.advance(60_000 - LEFT);
    device.cookies.delete(COOKIE);
    const socket = await openSocket(device);
    const { ended } = await openStream(device, `${site.url}/events`);
    expect((await device.register()).status).toBe(200);
    site.advance(LEFT + GRACE);
    expect(await closeOf(socket)).toBe(4403);
    expect(await ended).toContain("retry: ");
  });

  test("D1: one that passed by onSkipped alone lives for the grace", async () => {
    await using site = await startTimed({ onSkipped: "allow" });
    const device = await (await Device.at(site)).bind();
    device.cookies.delete(COOKIE);
    const headers = { cookie: device.cookie, "Secure-Session-Skipped": "unreachable" };
    const socket = new WebSocket(`${site.url.replace("http", "ws")}/socket`, { headers });
    await once(socket, "message");
    site.advance(GRACE);
    expect(await closeOf(socket)).toBe(4403);
  });

  test("D1: a session that is not bound keeps its connections", async () => {
    await using site = await startTimed();
    const other = await Device.at(site);
    await other.fetch("/sign-in?user=bob");
    site.advance(60_000);
    const kept = await openSocket(other);
    const ending = await openSocket(await almostStale(site));
    site.advance(LIFETIME);
    expect(await closeOf(ending)).toBe(4403);
    expect(kept.readyState).toBe(WebSocket.OPEN);
  });
});

describe("D1: a request with a fresh bound cookie extends the listener that it names", () => {
  test("D1: the owner's tab stays, the thief's ends", async () => {
    await using site = await startTimed();
    const device = await almostStale(site);
    const thief = await device.thief();
    const own = await openTab(device);
    const stolen = await openTab(thief);
    expect(own.offered.in).toBe(LEFT);
    expect((await device.refresh()).status).toBe(200);
    const extended = await extend(device, own.offered);
    expect(extended.status).toBe(200);
    expect(await extended.json()).toEqual({ in: LIFETIME });
    site.advance(LEFT + GRACE);
    expect(await closeOf(stolen.socket)).toBe(4403);
    expect(own.socket.readyState).toBe(WebSocket.OPEN);
  });

  test("D1: also through another process", async () => {
    const { clock, advance } = stoppedClock();
    const shared = { store: memoryStore(), pubsub: memoryPubSub(), clock };
    await using here = await startTimed(shared);
    await using there = await startTimed(shared);
    const device = await almostStale({ ...here, advance });
    const own = await openTab(device);
    const other = await openSocket(device);
    const elsewhere = device.moveTo(there);
    expect((await elsewhere.refresh()).status).toBe(200);
    expect((await extend(elsewhere, own.offered)).status).toBe(200);
    expect(await own.next()).toMatchObject({ event: "bound.extended" });
    advance(LEFT + GRACE);
    expect(await closeOf(other)).toBe(4403);
    expect(own.socket.readyState).toBe(WebSocket.OPEN);
  });

  test("D1: the extended listener ends with the cookie that extended it", async () => {
    await using site = await startTimed();
    const device = await almostStale(site);
    const { socket, offered, next } = await openTab(device);
    await device.refresh();
    await extend(device, offered);
    expect(await next()).toMatchObject({ event: "bound.extended" });
    site.advance(LIFETIME + GRACE);
    expect(await closeOf(socket)).toBe(4403);
  });

  test("D1: a page of @lanai/browser stays in its channels", async () => {
    let channels: ReturnType<typeof declare> | undefined;
    const declare = ({ bound: { clients } }: Site) =>
      createChannels({
        ...{ clients, pubsub: createPubSub() },
        channels: {
          news: channel({ join: () => true, events: { said: { schema: type<number>() } } }),
        },
      });
    await using site = await startTimed({
      route: (ctx) => {
        channels ??= declare(site);
        return channels.middleware()(ctx);
      },
    });
    const device = await almostStale(site);
    const other = await openSocket(device);
    const { cookie } = device;
    const extended = Promise.withResolvers<number>();
    class CookieSocket extends WebSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols, { headers: { cookie } });
      }
    }
    const host = {
      ...{ URL, WebSocket: CookieSocket, crypto, performance, console, setTimeout, clearTimeout },
      fetch: async (url: string, init: RequestInit) => {
        await device.refresh();
        const response = await device.fetch(new URL(url).pathname, init);
        extended.resolve(response.status);
        return response;
      },
    } as unknown as Required<ConnectOptions>["host"];
    const line = connect<NonNullable<typeof channels>>(`${site.url}/live`, { host });
    const room = line.join("news", {});
    const said = Promise.withResolvers<number>();
    const states: string[] = [];
    line.on("state", (state) => states.push(state));
    room.on("said", said.resolve);
    expect(await extended.promise).toBe(200);
    site.advance(LEFT + GRACE);
    expect(await closeOf(other)).toBe(4403);
    await channels?.publish("news", {}, "said", 7);
    expect(await said.promise).toBe(7);
    expect(states).toEqual(["open"]);
    line.close();
    await channels?.close();
  });

  test("D1: nothing else extends it", async () => {
    await using site = await startTimed({ onSkipped: "allow" });
    const device = await (await Device.at(site)).bind();
    const own = await openTab(device);
    const other = await (await Device.at(site)).bind("bob");
    const foreign = await openTab(other);
    const [id, secret] = own.offered.proof.split(".");
    const [foreignId, foreignSecret] = foreign.offered.proof.split(".");
    for (const proof of [
      ...["", "a", `${id}.`, `.${secret}`, `${id}`, `${id}.${secret}.`, foreign.offered.proof],
      ...[`${id}.${foreignSecret}`, `${foreignId}.${secret}`, `${id}x.${secret}`],
    ]) {
      expect([proof, (await extend(device, { ...own.offered, proof })).status]).toEqual([
        proof,
        403,
      ]);
    }
    const stolen = await device.thief();
    stolen.cookies.delete(COOKIE);
    expect((await extend(stolen, own.offered)).status).toBe(401);
    const headers = {
      "Lanai-Listener": own.offered.proof,
      "Secure-Session-Skipped": "unreachable",
    };
    expect((await stolen.post(own.offered.path, headers)).status).toBe(403);
    const nobody = await Device.at(site);
    expect((await extend(nobody, own.offered)).status).toBe(401);
    expect((await extend(device, own.offered)).status).toBe(200);
    own.socket.close();
    await site.listeners[0]?.ended;
    expect((await extend(device, own.offered)).status).toBe(403);
  });

  test("D1: no message that the app sends on for somebody extends it", async () => {
    await using site = await startTimed();
    const device = await almostStale(site);
    const { socket, offered, next } = await openTab(device);
    const [listener = ""] = offered.proof.split(".");
    const until = site.clock() + LIFETIME;
    for (const said of [null, {}, { until }, { until, mac: "" }, { until, mac: offered.proof }]) {
      await site.clients.send({ listener }, "bound.extended", said);
      expect(await next()).toMatchObject({ event: "bound.extended" });
    }
    site.advance(LEFT + GRACE);
    expect(await closeOf(socket)).toBe(4403);
  });

  test("an event stream is told how to extend it like a WebSocket", async () => {
    await using site = await startTimed();
    const device = await almostStale(site);
    const { ended } = await openStream(device, `${site.url}/tab`);
    site.listeners[0]?.disconnect();
    const [, data = ""] = /^event: bound\ndata: (.*)$/m.exec(await ended) ?? [];
    expect(JSON.parse(data)).toEqual({
      path: "/device-bound/extend",
      proof: expect.stringMatching(/^[\w-]+\.[\w-]{43}$/),
      in: LEFT,
    });
  });
});

test("a refused upgrade is answered by HTTP, before the 101", async () => {
  await using site = await startTimed();
  const device = await (await Device.at(site)).bind();
  device.cookies.delete(COOKIE);
  const [, response] = await once(
    device.open("/socket").on("error", () => {}),
    "unexpected-response",
  );
  expect((response as IncomingMessage).statusCode).toBe(401);
  response.destroy();
});
