import { once } from "node:events";
import { connect } from "node:net";
import Router from "@koa/router";
import { type SameOriginOptions, sameOrigin } from "@lanai/same-origin";
import Koa from "koa";
import { describe, expect, test } from "vitest";
import { PROXIES } from "../../../scripts/testing/proxies.ts";
import { type Served, serve } from "../../session/test/http.ts";
import { koaVersions } from "../../session/test/koa-versions.ts";
import { RECORDED, type Recorded } from "./recorded.ts";

const HOST = "app.example";
const SITE = `http://${HOST}`;

function appOf(App: typeof Koa = Koa, options?: SameOriginOptions): Koa {
  const app = new App();
  app.silent = true;
  app.use(sameOrigin(options));
  app.use((ctx) => {
    ctx.body = "ok";
  });
  return app;
}

type Lines = Readonly<Record<string, string | readonly string[]>>;

/** The status of a raw request: a client of HTTP would correct what is hostile about it. */
async function statusOf(
  site: Served,
  headers: Lines = {},
  {
    method = "POST",
    path = "/",
    host = HOST,
  }: { method?: string; path?: string; host?: string } = {},
): Promise<number> {
  const { port } = new URL(site.url);
  const socket = connect(Number(port), "127.0.0.1");
  const all = { Host: host, Connection: "close", "Content-Length": "0", ...headers };
  const lines = Object.entries(all).flatMap(([name, values]) =>
    [values].flat().map((value) => `${name}: ${value}\r\n`),
  );
  socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
  let answer = "";
  socket.on("data", (chunk) => {
    answer += chunk.toString("latin1");
  });
  await once(socket, "close");
  return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
}

const COOKIE = { Cookie: "sid=x" };

describe.each(koaVersions)("%s", (_version, App) => {
  test.each(RECORDED)(
    "$scheme: $method by $name, from $from: $status",
    async ({ scheme, method, origin, site, cookie, status }: Recorded) => {
      const app = appOf(App);
      app.proxy = true;
      await using served = await serve(app);
      const headers = {
        "X-Forwarded-Proto": scheme,
        ...(origin && { Origin: origin.replace("//own", `//${HOST}`) }),
        ...(site && { "Sec-Fetch-Site": site }),
        ...(cookie && COOKIE),
      };
      expect(await statusOf(served, headers, { method })).toBe(status);
    },
  );

  test.each(PROXIES)("behind a proxy, $name", async ({ origin, request, loses }) => {
    const app = appOf(App);
    app.proxy = true;
    await using site = await serve(app);
    expect(await statusOf(site, { ...request, Origin: origin, ...COOKIE })).toBe(loses ? 403 : 200);
    const foreign = { ...request, Origin: "https://evil.example", ...COOKIE };
    expect(await statusOf(site, foreign)).toBe(403);
    // A current browser sends what no proxy loses.
    const modern = { ...request, Origin: origin, "Sec-Fetch-Site": "same-origin", ...COOKIE };
    expect(await statusOf(site, modern)).toBe(200);
  });

  test("a list lets other origins in, whatever Sec-Fetch-Site says, and no more than those", async () => {
    const origins = ["https://www.example.com", "capacitor://localhost"];
    await using site = await serve(appOf(App, { origins }));
    for (const Origin of origins) {
      const headers = { Origin, "Sec-Fetch-Site": "cross-site", ...COOKIE };
      expect([Origin, await statusOf(site, headers)]).toEqual([Origin, 200]);
    }
    for (const Origin of [
      "https://www.example.com.evil.example",
      "https://WWW.example.com",
      "https://www.example.com:8443",
      "https://www.example.com, https://www.example.com",
      "capacitor://localhost:1",
      "null",
    ]) {
      expect([Origin, await statusOf(site, { Origin, ...COOKIE })]).toEqual([Origin, 403]);
    }
    expect(await statusOf(site, { Origin: SITE, ...COOKIE })).toBe(200);
  });

  test("is mounted on a group or a route, and nothing else is checked", async () => {
    const app = new App();
    app.silent = true;
    const router = new Router();
    router.post("/guarded", sameOrigin(), (ctx) => {
      ctx.body = "ok";
    });
    router.post("/open", (ctx) => {
      ctx.body = "ok";
    });
    app.use(router.routes());
    await using site = await serve(app);
    const foreign = { Origin: "https://evil.example" };
    expect(await statusOf(site, foreign, { path: "/guarded" })).toBe(403);
    expect(await statusOf(site, foreign, { path: "/open" })).toBe(200);
  });

  test("a refusal is an error with a code, and its text says no more than needed", async () => {
    const app = appOf(App);
    const errors: unknown[] = [];
    app.on("error", (error) => errors.push(error));
    await using site = await serve(app);
    const answer = await fetch(site.url, { method: "POST", headers: { Origin: "null" } });
    expect([answer.status, await answer.text()]).toEqual([
      403,
      "This request came from another site.",
    ]);
    expect(errors).toEqual([
      expect.objectContaining({ name: "SameOriginError", code: "ERR_SAME_ORIGIN_REFUSED" }),
    ]);
  });
});

const LONG = "a".repeat(8_000);

describe("hostile headers", () => {
  test.each<[what: string, headers: Lines, status: number]>([
    ["our origin", { Origin: SITE }, 200],
    ["our origin in upper case", { Origin: "http://APP.example" }, 403],
    ["our origin with a trailing dot", { Origin: "http://app.example." }, 403],
    ["our origin with the default port", { Origin: "http://app.example:80" }, 403],
    ["our origin with another port", { Origin: "http://app.example:8080" }, 403],
    ["our origin with another scheme", { Origin: "https://app.example" }, 403],
    ["our origin with a path", { Origin: `${SITE}/` }, 403],
    ["our origin as the user of another", { Origin: "http://app.example@evil.example" }, 403],
    ["our origin as the beginning of another", { Origin: "http://app.example.evil.example" }, 403],
    ["null", { Origin: "null" }, 403],
    ["an empty origin", { Origin: "" }, 403],
    ["a huge origin", { Origin: `http://${LONG}` }, 403],
    ["our origin and another", { Origin: [SITE, "https://evil.example"] }, 403],
    ["another origin and ours", { Origin: ["https://evil.example", SITE] }, 403],
    ["our origin twice", { Origin: [SITE, SITE] }, 403],
    ["same-origin", { "Sec-Fetch-Site": "same-origin" }, 200],
    ["none", { "Sec-Fetch-Site": "none" }, 200],
    ["same-site", { "Sec-Fetch-Site": "same-site", Origin: SITE }, 403],
    ["cross-site", { "Sec-Fetch-Site": "cross-site", Origin: SITE }, 403],
    ["same-origin in upper case", { "Sec-Fetch-Site": "Same-Origin" }, 403],
    ["an empty site", { "Sec-Fetch-Site": "" }, 403],
    ["an unknown site", { "Sec-Fetch-Site": "same-party" }, 403],
    ["a huge site", { "Sec-Fetch-Site": LONG }, 403],
    ["two sites", { "Sec-Fetch-Site": ["same-origin", "cross-site"] }, 403],
    ["the same site twice", { "Sec-Fetch-Site": ["same-origin", "same-origin"] }, 403],
    ["a cookie alone", {}, 403],
    ["a forwarded host without app.proxy", { Origin: "http://x", "X-Forwarded-Host": "x" }, 403],
    ["a referrer of ours alone", { Referer: `${SITE}/` }, 403],
    ["our origin as the host, and as the origin, of somebody else", { Origin: "http://x" }, 403],
  ])("%s", async (_what, headers, status) => {
    await using site = await serve(appOf());
    expect(await statusOf(site, { ...COOKIE, ...headers })).toBe(status);
  });

  test.each([
    ["app.example:80", "http://app.example"],
    ["APP.example", "http://app.example"],
    ["app.example.", "http://app.example."],
    ["[::1]:8080", "http://[::1]:8080"],
    ["[0:0:0:0:0:0:0:1]", "http://[::1]"],
  ])("a page asked at %s has the origin %s", async (host, Origin) => {
    await using site = await serve(appOf());
    expect(await statusOf(site, { Origin, ...COOKIE }, { host })).toBe(200);
  });

  test.each(["", "a/b", "a b", "user@app.example/", "a, b"])(
    "a request for the malformed host %j has no origin that could be ours",
    async (host) => {
      await using site = await serve(appOf());
      for (const Origin of ["null", "", `http://${host}`]) {
        const status = await statusOf(site, { Origin, ...COOKIE }, { host });
        expect([400, 403]).toContain(status);
      }
    },
  );

  test("a forwarded scheme that is none makes no page without an origin ours", async () => {
    const app = appOf();
    app.proxy = true;
    await using site = await serve(app);
    const headers = { Origin: "null", "X-Forwarded-Proto": "file", ...COOKIE };
    expect(await statusOf(site, headers)).toBe(403);
  });
});

describe("methods", () => {
  const foreign = { Origin: "https://evil.example", "Sec-Fetch-Site": "cross-site", ...COOKIE };

  test.each(["GET", "HEAD", "OPTIONS", "TRACE"])("%s is safe", async (method) => {
    await using site = await serve(appOf());
    expect(await statusOf(site, foreign, { method })).not.toBe(403);
  });

  test.each(["POST", "PUT", "PATCH", "DELETE", "QUERY", "PROPFIND", "LINK", "PURGE", "M-SEARCH"])(
    "%s is checked",
    async (method) => {
      await using site = await serve(appOf());
      expect(await statusOf(site, foreign, { method })).toBe(403);
      expect(await statusOf(site, { Origin: SITE, ...COOKIE }, { method })).not.toBe(403);
    },
  );

  test("a header that replaces the method makes a GET one that is checked", async () => {
    await using site = await serve(appOf());
    for (const name of ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"]) {
      const headers = { ...foreign, [name]: "DELETE" };
      expect(await statusOf(site, headers, { method: "GET" })).toBe(403);
      expect(await statusOf(site, { Origin: SITE, [name]: "DELETE" })).toBe(200);
    }
  });

  test("a method that a middleware before it has replaced is the one that counts", async () => {
    const app = appOf();
    app.middleware.unshift(async (ctx, next) => {
      if (typeof ctx.query._method === "string") ctx.method = ctx.query._method;
      await next();
    });
    await using site = await serve(app);
    const asked = { method: "GET", path: "/?_method=DELETE" };
    expect(await statusOf(site, foreign, asked)).toBe(403);
    expect(await statusOf(site, { Origin: SITE, ...COOKIE }, asked)).toBe(200);
  });
});

describe("options", () => {
  test.each<[options: unknown, message: string]>([
    [null, "the options must be an object, got null"],
    [{ origin: SITE }, 'there is no option "origin": write origins: [...]'],
    [{ methods: ["POST"] }, 'there is no option "methods": each method but GET'],
    [{ origins: SITE }, "origins must be an array of at most 1000 origins, got string"],
    [{ origins: [`${SITE}/`] }, `origins[0] must be an origin as browsers send it, here "${SITE}"`],
    [{ origins: ["null"] }, "origins[0] must be an origin such as"],
    [{ origins: ["*"] }, "origins[0] must be an origin such as"],
  ])("%j is a TypeError", (options, message) => {
    const make = () => sameOrigin(options as SameOriginOptions);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(`sameOrigin: ${message}`);
  });

  test("are not changed by what happens to them afterwards", async () => {
    const origins = ["https://www.example.com"];
    await using site = await serve(appOf(Koa, { origins }));
    origins.push("https://evil.example");
    expect(await statusOf(site, { Origin: "https://evil.example" })).toBe(403);
  });
});

test("two requests at once are judged each by its own headers", async () => {
  await using site = await serve(appOf());
  const asked = Array.from({ length: 40 }, (_, n) =>
    statusOf(site, { Origin: n % 2 === 0 ? SITE : "https://evil.example", ...COOKIE }),
  );
  expect(await Promise.all(asked)).toEqual(asked.map((_, n) => (n % 2 === 0 ? 200 : 403)));
});
