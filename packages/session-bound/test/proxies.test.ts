import { once } from "node:events";
import { request } from "node:http";
import { expect, test } from "vitest";
import { PROXIES } from "../../../scripts/testing/proxies.ts";
import { Device } from "./device.ts";
import { startSite } from "./site.ts";

/** A `fetch` whose requests come through a proxy: Node's own sends no `Host` of one's choice. */
const through =
  (headers: Readonly<Record<string, string>>): typeof fetch =>
  async (url, init = {}) => {
    const sent = request(String(url), {
      method: init.method ?? "GET",
      headers: { ...(init.headers as Record<string, string>), ...headers },
    }).end();
    const [response] = await once(sent, "response");
    const pairs: [string, string][] = [];
    for (let i = 0; i < response.rawHeaders.length; i += 2) {
      pairs.push([response.rawHeaders[i], response.rawHeaders[i + 1]]);
    }
    const body = (await response.toArray()).join("");
    return new Response(body || null, { status: response.statusCode, headers: pairs });
  };

/** Returns the status of the response, or 101. */
async function opened(device: Device, headers: Readonly<Record<string, string>>): Promise<number> {
  const socket = device.open("/socket", headers);
  socket.on("error", () => {});
  const [, response] = await Promise.race([
    once(socket, "open").then(() => [undefined, { statusCode: 101 }]),
    once(socket, "unexpected-response"),
  ]);
  socket.terminate();
  return response.statusCode;
}

test.each(PROXIES)(
  "$name: a session is bound, refreshed and recognised in an upgrade; without the bound cookie it is refused",
  async (proxy) => {
    await using site = await startSite();
    site.app.proxy = true;
    const page = { ...proxy.request, Origin: proxy.origin };
    const upgrade = { ...(proxy.upgrade ?? proxy.request), Origin: proxy.origin };
    const device = await (await Device.at({ url: site.url, send: through(page) })).bind();
    const isSecure = /^https/i.test(proxy.request["X-Forwarded-Proto"] ?? "");
    expect(device.cookies.has("__Host-Http-sid")).toBe(isSecure);
    expect(await device.status("/strict")).toBe(200);
    await device.refresh();
    expect((await device.refresh()).status).toBe(200);
    expect(await device.status("/strict")).toBe(200);
    // The page's origin isn't known: no connection is better than one of somebody else.
    expect(await opened(device, upgrade)).toBe(proxy.loses ? 403 : 101);
    device.cookies.delete("__Host-bound");
    expect(await device.status("/strict")).toBe(401);
    expect(await opened(device, upgrade)).toBe(proxy.loses ? 403 : 401);
  },
);
