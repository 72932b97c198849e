import { once } from "node:events";
import { request } from "node:http";
import { memoryPubSub } from "@lanai/pubsub";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PROXIES } from "../../../scripts/testing/proxies.ts";
import { reported } from "../../../scripts/testing/reported.ts";
import type { ChannelsEvent } from "../src/events.ts";
import { type Site, startSite } from "./site.ts";

let site: Site;
beforeAll(async () => {
  site = await startSite(memoryPubSub(), { channels: { anonymous: true } });
});
afterAll(() => site[Symbol.asyncDispose]());

/** Node's `fetch` sends no `Host` of one's choice. */
async function statusOf(method: string, headers: Readonly<Record<string, string>>) {
  const options = { port: site.port, path: "/live", method, headers };
  const sent = request({ host: "127.0.0.1", ...options }).end();
  const [response] = await once(sent, "response");
  response.destroy();
  return response.statusCode;
}

test.each(PROXIES)(
  "$name: the fallback is open to the site's own pages, and to no other's",
  async (proxy) => {
    const own = { ...proxy.request, Origin: proxy.origin };
    const other = { ...proxy.request, Origin: "https://evil.example" };
    const stream = { Accept: "text/event-stream" };
    // Where the page's origin isn't known, no connection is better than one of somebody else.
    expect(await statusOf("POST", own)).toBe(proxy.loses ? 403 : 204);
    expect(await statusOf("GET", { ...own, ...stream })).toBe(proxy.loses ? 403 : 200);
    expect(await statusOf("POST", other)).toBe(403);
    expect(await statusOf("GET", { ...other, ...stream })).toBe(403);
  },
);

test.each(["POST", "GET"])(
  "a refused origin of a %s is reported with the setting",
  async (method) => {
    // A site of its own cause: each cause is reported once a minute.
    const cause = method === "POST" ? "https://127.0.0.1" : "http://127.0.0.1";
    using refused = reported<ChannelsEvent>("lanai:channels:origin-refused");
    const Origin = `${cause}:1`;
    const Accept = "text/event-stream";
    for (let i = 0; i < 2; i++) expect(await statusOf(method, { Origin, Accept })).toBe(403);
    expect(refused.events).toEqual([
      {
        level: "warn",
        message: expect.stringMatching(/X-Forwarded-Proto|Host header with its port/),
        got: Origin,
        expected: [site.url],
      },
    ]);
  },
);
