import { describe, expect, test } from "vitest";
import { koaVersions } from "../../session/test/koa-versions.ts";
import { appOf, type Site, siteOf } from "./site.ts";

/** The status that a page of an origin gets, asked with more headers. */
const statusFor = async (site: Site, origin: string | undefined, headers = {}) => {
  const asked = { headers: { ...(origin !== undefined && { Origin: origin }), ...headers } };
  const connecting = site.connect("/", asked).then(({ head }) => head.statusCode);
  return connecting.catch((error: Error) => Number(/\d+$/.exec(error.message)?.[0]));
};

describe.each(koaVersions)("%s, by default", (_version, Koa) => {
  test("pages of the origin that is asked may connect, and no others", async () => {
    await using site = await siteOf(appOf(() => {}, Koa));
    expect(await statusFor(site, site.url)).toBe(101);
    const others = [
      "https://evil.example",
      `http://127.0.0.1:${site.port + 1}`,
      `https://127.0.0.1:${site.port}`,
      `http://127.0.0.1:${site.port}.evil.example`,
      `${site.url}/`,
      "null",
      "",
      "no origin",
    ];
    for (const origin of others)
      expect([origin, await statusFor(site, origin)]).toEqual([origin, 403]);
  });

  test("a client without Origin may connect: it is no browser", async () => {
    await using site = await siteOf(appOf(() => {}, Koa));
    expect(await statusFor(site, undefined)).toBe(101);
  });

  test("a refused page runs no middleware", async () => {
    const app = new Koa();
    let ran = 0;
    app.use(() => {
      ran += 1;
    });
    await using site = await siteOf(app);
    const refusal = await site.refusal("/", { headers: { Origin: "https://evil.example" } });
    expect([refusal.status, refusal.body, ran]).toEqual([
      403,
      "Pages of this origin may not connect.",
      0,
    ]);
  });

  test("a port that the scheme implies may be left out", async () => {
    await using site = await siteOf(appOf(() => {}, Koa));
    expect(await statusFor(site, "http://app.example", { Host: "app.example:80" })).toBe(101);
  });

  test("X-Forwarded headers count for an app behind a proxy, and for no other", async () => {
    const forwarded = { "X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.example" };
    const behind = appOf(() => {}, Koa);
    behind.proxy = true;
    await using proxied = await siteOf(behind);
    expect(await statusFor(proxied, "https://app.example", forwarded)).toBe(101);
    expect(await statusFor(proxied, proxied.url, forwarded)).toBe(403);
    await using site = await siteOf(appOf(() => {}, Koa));
    expect(await statusFor(site, "https://app.example", forwarded)).toBe(403);
    expect(await statusFor(site, site.url, forwarded)).toBe(101);
  });
});

test("a list takes the place of the default", async () => {
  const origins = ["https://app.example", "http://localhost:5173", "null"];
  await using site = await siteOf(
    appOf(() => {}),
    { origins },
  );
  for (const origin of origins) expect(await statusFor(site, origin)).toBe(101);
  for (const origin of [site.url, "https://app.example.evil.example", "https://APP.example"]) {
    expect(await statusFor(site, origin)).toBe(403);
  }
});

test('"any" lets every page connect', async () => {
  await using site = await siteOf(
    appOf(() => {}),
    { origins: "any" },
  );
  expect(await statusFor(site, "https://anywhere.example")).toBe(101);
});
