import { createSessions } from "@lanai/session";
import type { WebSocketEvent } from "@lanai/websocket";
import type Koa from "koa";
import { describe, expect, test } from "vitest";
import { PROXIES } from "../../../scripts/testing/proxies.ts";
import { reported } from "../../../scripts/testing/reported.ts";
import { until } from "../../../scripts/testing/until.ts";
import { koaVersions } from "../../session/test/koa-versions.ts";
import { handshake, RawClient } from "./raw-client.ts";
import { appOf, type Site, siteOf } from "./site.ts";

function signedInSite(App: typeof Koa): Promise<Site> {
  const app = new App();
  app.proxy = true;
  app.silent = true;
  app.use(createSessions().middleware());
  app.use(async (ctx) => {
    if (ctx.path === "/sign-in") {
      ctx.session.login("ada");
      ctx.body = `ada ${ctx.protocol} ${ctx.secure}`;
      return;
    }
    const { userId = "nobody" } = ctx.session;
    (await ctx.upgrade()).send(`${userId} ${ctx.protocol} ${ctx.secure}`);
  });
  return siteOf(app);
}

/** A raw request: fetch sends no Host of one's own. */
async function ask(site: Site, path: string, headers: Record<string, string>): Promise<string> {
  using client = await RawClient.to(site.port);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  client.socket.write(`GET ${path} HTTP/1.1\r\nConnection: close\r\n${lines.join("")}\r\n`);
  await client.closed;
  return client.received;
}

describe.each(koaVersions)("%s", (_version, App) => {
  test.each(PROXIES)("$name: a page's socket has its visitor", async (proxy) => {
    await using site = await signedInSite(App);
    using refused = reported<WebSocketEvent>("lanai:websocket:origin-refused");
    const answer = await ask(site, "/sign-in", { ...proxy.request, Origin: proxy.origin });
    const [, Cookie = ""] = /set-cookie: ([^;]+)/i.exec(answer) ?? [];
    expect(Cookie).not.toBe("");

    const headers = { ...(proxy.upgrade ?? proxy.request), Origin: proxy.origin, Cookie };
    if (proxy.loses) {
      expect(await site.refusal("/", { headers })).toMatchObject({ status: 403 });
      return;
    }
    const client = await site.connect("/", { headers });
    const seen = answer.slice(answer.indexOf("\r\n\r\n") + 4);
    await until(() => expect(client.messages).toEqual([seen]));
    expect(refused.events).toEqual([]);
    const secure = proxy.origin.startsWith("https:");
    const foreign = { ...headers, Origin: "https://evil.example" };
    expect(await site.refusal("/", { headers: foreign })).toMatchObject({ status: 403 });
    // The other scheme is another origin.
    const other = secure ? proxy.origin.replace("s:", ":") : proxy.origin.replace(":", "s:");
    const downgraded = { ...headers, Origin: other };
    expect(await site.refusal("/", { headers: downgraded })).toMatchObject({ status: 403 });
  });
});

test("an upgrade's scheme counts only for an app behind a proxy", async () => {
  const app = appOf((socket, ctx) => socket.send(ctx.protocol));
  await using site = await siteOf(app);
  const client = await site.connect("/", {
    headers: { Origin: site.url, "X-Forwarded-Proto": "wss" },
  });
  await until(() => expect(client.messages).toEqual(["http"]));
});

test("a forwarded scheme that is none matches no origin, not even null", async () => {
  const app = appOf(() => {});
  app.proxy = true;
  await using site = await siteOf(app);
  for (const scheme of ["foo", "file", "javascript", "blob", "wsss", "null"]) {
    for (const Origin of ["null", `${scheme}://127.0.0.1:${site.port}`]) {
      const headers = { Origin, "X-Forwarded-Proto": scheme };
      expect([scheme, (await site.refusal("/", { headers })).status]).toEqual([scheme, 403]);
    }
  }
});

test("a WebSocket whose upgrade a proxy dropped is a 426 that names the setting", async () => {
  using lost = reported<WebSocketEvent>("lanai:websocket:upgrade-lost");
  await using site = await siteOf(appOf(() => {}));
  for (const [headers, version] of [
    [{ Connection: "close", Upgrade: undefined }, "1.0"],
    [{ Connection: "close", Upgrade: undefined }, "1.1"],
    [{ Connection: "close", Upgrade: undefined, "Sec-WebSocket-Key": undefined }, "1.1"],
    [{ Connection: "close", Upgrade: undefined, "Sec-WebSocket-Version": undefined }, "1.1"],
    [{ Connection: "close", Upgrade: "websocket" }, "1.1"],
    [{ Connection: "Upgrade, close", Upgrade: undefined }, "1.1"],
    [{ Connection: "Upgrade, close" }, "1.0"],
  ] as const) {
    using client = await RawClient.to(site.port);
    client.socket.write(handshake("/", headers).replace("HTTP/1.1", `HTTP/${version}`));
    await client.until("proxy_set_header");
    expect(client.status).toBe(426);
    expect(client.received).toMatch(/\r\nupgrade: websocket\r\n/i);
  }
  expect(lost.events).toHaveLength(1);
  expect(lost.events[0]).toMatchObject({
    level: "warn",
    message: expect.stringContaining("Upgrade"),
  });
});
