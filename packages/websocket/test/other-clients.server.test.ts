import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import Router from "@koa/router";
import { requireSession, session } from "@lanai/session";
import Koa from "koa";
import { describe, expect, test } from "vitest";
import { programPath } from "../../../scripts/servers.js";
import { appOf, siteOf } from "./site.ts";

const run = promisify(execFile);

interface Visit {
  readonly messages?: string[];
  readonly cookies?: string[];
  readonly protocol?: string | null;
  readonly code?: number;
  readonly reason?: string;
  readonly status?: number;
  readonly headers?: Record<string, string>;
}

/** What Python's websockets sees. */
async function python(url: string, how: object = {}): Promise<Visit> {
  const script = join(import.meta.dirname, "client.py");
  const asked = JSON.stringify({ url: url.replace("http", "ws"), ...how });
  const { stdout } = await run(programPath("python3 with websockets"), [script, asked]);
  return JSON.parse(stdout);
}

const curl = async (...args: string[]): Promise<string> =>
  (await run(programPath("curl"), ["--silent", "--show-error", "--noproxy", "*", ...args])).stdout;

/** curl knows the handshake's headers only when they are given. */
const upgrade = [
  ["--http1.1", "--include", "--no-buffer"],
  ["-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13"],
  ["-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="],
].flat();

/** Middlewares of three levels, and a member's room. */
function rooms(): Koa {
  const named =
    (name: string): Koa.Middleware =>
    async (ctx, next) => {
      ctx.state.log = [...(ctx.state.log ?? []), name];
      await next();
    };
  const group = new Router({ prefix: "/rooms" });
  group.use(named("group"));
  group.get("/open", named("route"), async (ctx) => {
    ctx.session.set("visits", ctx.session.getInt("visits") + 1);
    const visits = ctx.session.getInt("visits");
    const socket = await ctx.upgrade({ protocols: ["chat"] });
    socket.send(`${ctx.state.log} visit ${visits}`);
    socket.on("message", (data) => socket.send(`you said ${data}`));
  });
  group.get("/members", requireSession({ user: true }), async (ctx) => {
    await ctx.upgrade();
  });
  group.get("/over", named("route"), async (ctx) => {
    const socket = await ctx.upgrade();
    socket.send(`${ctx.state.log}`);
    socket.close(4401, "ended");
  });
  group.get("/closed", named("route"), (ctx) => {
    ctx.status = 403;
    ctx.body = `${ctx.state.log} is closed`;
  });
  group.get("/broken", () => {
    throw new Error("a secret of the server");
  });
  const app = new Koa();
  app.use(named("global")).use(session());
  app.use(group.routes());
  return app;
}

describe("Python's websockets", () => {
  test("goes through the three levels, says and hears, and comes back with the 101's cookie", async () => {
    await using site = await siteOf(rooms());
    const url = `${site.url}/rooms/open`;
    const first = await python(url, { subprotocols: ["chat"], say: ["hé"], until: 2 });
    expect(first).toEqual({
      messages: ["global,group,route visit 1", "you said hé"],
      cookies: [expect.stringMatching(/^sid=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/)],
      protocol: "chat",
    });
    const cookie = first.cookies?.[0]?.split(";")[0];
    const again = { subprotocols: ["chat"], headers: { Cookie: cookie }, until: 1 };
    expect((await python(url, again)).messages).toEqual(["global,group,route visit 2"]);
  });

  test("is refused in plain HTTP", async () => {
    await using site = await siteOf(rooms());
    const stranger = await python(`${site.url}/rooms/members`);
    expect(stranger.status).toBe(401);
    expect(stranger.headers).toHaveProperty("WWW-Authenticate");
    expect((await python(`${site.url}/rooms/none`)).status).toBe(404);
    expect((await python(`${site.url}/rooms/open`)).status).toBe(400);
    const foreign = { origin: "https://evil.example", subprotocols: ["chat"] };
    expect((await python(`${site.url}/rooms/open`, foreign)).status).toBe(403);
  });

  test("hears why it was closed", async () => {
    await using site = await siteOf(rooms(), { maxPayload: 100 });
    expect(await python(`${site.url}/rooms/over`)).toEqual({
      messages: ["global,group,route"],
      code: 4401,
      reason: "ended",
    });
    const loud = { subprotocols: ["chat"], say: ["x".repeat(101)] };
    expect((await python(`${site.url}/rooms/open`, loud)).code).toBe(1009);
  });

  test("answers pings, and stays", async () => {
    const app = appOf((socket) => {
      let pongs = 0;
      socket.on("pong", () => {
        pongs += 1;
        if (pongs === 4) socket.send("alive");
      });
    });
    await using site = await siteOf(app, { pingInterval: 250 });
    expect((await python(site.url, { until: 1 })).messages).toEqual(["alive"]);
  });
});

describe("curl", () => {
  test("sees the 101 with its headers, and what follows, from all three levels in their order", async () => {
    await using site = await siteOf(rooms());
    const answer = await curl(...upgrade, `${site.url}/rooms/over`);
    expect(answer).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/);
    // RFC 6455, 1.3: the answer to this key.
    expect(answer).toContain("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    expect(answer).toMatch(/\r\n\r\n.{2}global,group,route.{4}ended$/s);
  });

  test.each([
    ["/rooms/members", 401, "Unauthorized", "sign in first"],
    ["/rooms/closed", 403, "Forbidden", "global,group,route is closed"],
    ["/rooms/none", 404, "Not Found", "Not Found"],
    ["/rooms/broken", 500, "Internal Server Error", "Internal Server Error"],
  ])("%s is a %i with its body", async (path, status, reason, body) => {
    const app = rooms();
    app.silent = true;
    await using site = await siteOf(app);
    const answer = await curl(...upgrade, site.url + path);
    const [head = "", ...rest] = answer.split("\r\n\r\n");
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} ${reason}\\r\\n`));
    expect(head).toMatch(/\r\nConnection: close(\r\n|$)/i);
    expect(rest).toEqual([body]);
  });

  test("a page of another origin is a 403", async () => {
    await using site = await siteOf(rooms());
    const answer = await curl(
      ...upgrade,
      "-H",
      "Origin: https://evil.example",
      `${site.url}/rooms/open`,
    );
    expect(answer).toMatch(
      /^HTTP\/1\.1 403 Forbidden\r\n.*Pages of this origin may not connect\.$/s,
    );
  });

  test("a plain request to a socket's route is a 426", async () => {
    await using site = await siteOf(rooms());
    const answer = await curl("--include", `${site.url}/rooms/over`);
    expect(answer).toMatch(/^HTTP\/1\.1 426 Upgrade Required\r\n.*Upgrade: websocket\r\n/s);
  });

  test("an offer of HTTP/2 is not taken, and the request is served", async () => {
    const app = new Koa();
    app.use((ctx) => {
      ctx.body = "plain";
    });
    await using site = await siteOf(app);
    expect(await curl("--http2", site.url)).toBe("plain");
  });
});
