import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isLong, seed } from "../../../scripts/testing/chance.ts";
import { Device } from "./device.ts";
import { heard } from "./events.ts";
import { rawGet } from "./raw-get.ts";
import { startSite } from "./site.ts";

const COOKIE = "__Host-bound";

describe("a link of another origin that brings no proof", () => {
  const link = { "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site" };

  test.each([
    ["/me", link, "0;url=/me"],
    ["/me?a=b/../c", { ...link, "Sec-Fetch-Site": "same-site" }, "0;url=/me?a=b/../c"],
    ["/me", { ...link, "Sec-Fetch-Site": "same-origin" }, undefined],
    ["/me", { ...link, "Sec-Fetch-Site": "none" }, undefined],
    ["/me", { ...link, "Sec-Fetch-Mode": "cors" }, undefined],
    ["/me", {}, undefined],
    ["//example.com/me", link, undefined],
    ["/\\\\example.com/me", link, undefined],
    ["/\\example.com", link, undefined],
    ["http://example.com/me", link, undefined],
  ])("%s with %j is asked for again by %s", async (path, headers, refresh) => {
    await using site = await startSite();
    const device = await (await Device.at(site)).bind();
    device.cookies.delete(COOKIE);
    const refused = await rawGet(site, path, { cookie: device.cookie, ...headers });
    expect([refused.statusCode, refused.headers.refresh]).toEqual([401, refresh]);
  });
});

describe("hostile requests of the protocol", () => {
  test("are refused with a 4xx, whatever they bring", async () => {
    await using site = await startSite();
    const device = await (await Device.at(site)).bind();
    const cookie = device.cookie;
    const id = device.instructions?.session_identifier ?? "";
    const visible = fc.string({ unit: fc.constantFrom(..."aZ0-_.\"=;,({[\\ %'") });
    const value = fc.oneof(visible, fc.constantFrom(id, `"${id}"`, "a.b.c", "", "a".repeat(7_000)));
    const request = fc.record({
      step: fc.constantFrom("register", "refresh", "extend"),
      id: value,
      proof: value,
      listener: value,
    });
    await fc.assert(
      fc.asyncProperty(request, async ({ step, ...it }) => {
        const response = await fetch(`${site.url}/device-bound/${step}`, {
          method: "POST",
          headers: {
            cookie,
            "Sec-Secure-Session-Id": it.id,
            "Secure-Session-Response": it.proof,
            "Lanai-Listener": it.listener,
          },
        });
        const body = await response.text();
        const isEnd = response.status === 200 && body.includes('"continue":false');
        expect(isEnd || (response.status >= 400 && response.status < 500)).toBe(true);
        expect(response.headers.getSetCookie()).toEqual([]);
      }),
      { seed, numRuns: isLong ? 5_000 : 150 },
    );
    expect(site.errors).toEqual([]);
    expect((await device.refresh()).status).toBe(200);
  });

  test("of other methods and paths are the app's", async () => {
    await using site = await startSite({
      route: (ctx) => {
        ctx.body = "the app's";
      },
    });
    const device = await Device.at(site);
    for (const [path, method] of [
      ["/device-bound/register", "GET"],
      ["/device-bound/refresh", "PUT"],
      ["/device-bound", "POST"],
      ["/device-bound/other", "POST"],
      ["/device-bound/toString", "POST"],
    ] as const) {
      expect(await (await device.fetch(path, { method })).text()).toBe("the app's");
    }
  });
});

describe("what happens is told as an event", () => {
  test("without a cookie, a challenge or a key", async () => {
    const names = ["registered", "refreshed", "refused", "skipped"] as const;
    const all = names.map(heard);
    await using site = await startSite({ onSkipped: "allow" });
    const device = await (await Device.at(site)).bind();
    await device.refresh();
    const cookie = device.cookies.get(COOKIE) ?? "";
    device.cookies.delete(COOKIE);
    await device.status("/me");
    const skipped = 'quota_exceeded;session_identifier="a"';
    expect(await device.status("/me", { headers: { "Secure-Session-Skipped": skipped } })).toBe(
      200,
    );
    const session = expect.any(String);
    expect(all.map((it) => [...it])).toEqual([
      [{ level: "info", session }],
      [{ level: "info", session }],
      [{ level: "warn", session, reason: "no-proof" }],
      [{ level: "warn", session, reason: "quota_exceeded" }],
    ]);
    const said = JSON.stringify(all);
    for (const secret of [cookie, device.challenge, device.publicKey.x]) {
      expect(said).not.toContain(secret);
    }
    for (const it of all) it[Symbol.dispose]();
  });
});
