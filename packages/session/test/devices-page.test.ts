import { createSessions, memoryStore, sealedStore } from "@lanai/session";
import { type DevicesPageOptions, devicesPage } from "@lanai/session/devices";
import Koa from "koa";
import { expect, onTestFinished, test } from "vitest";
import { Browser, serve } from "./http.ts";

const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const IPHONE =
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1";
/** As a browser's page of this site sends them. */
const OWN = { "Sec-Fetch-Site": "same-origin" };

interface Visitor extends Browser {
  readonly publicId: string;
}

async function start(options: Omit<DevicesPageOptions, "sessions"> = {}, parse = false) {
  const sessions = createSessions({ store: memoryStore() });
  const app = new Koa();
  app.silent = true;
  app.use(sessions.middleware());
  app.use(async (ctx, next) => {
    if (ctx.path === "/in") {
      ctx.session.login(String(ctx.query.user), { methods: ["pwd"] });
      ctx.status = 204;
    } else if (ctx.path === "/id") ctx.body = ctx.session.publicId;
    else if (ctx.path === "/act") ctx.body = ctx.session.impersonate("ada") ?? "acting";
    else if (ctx.path === "/who") ctx.body = ctx.session.userId ?? "nobody";
    else await next();
  });
  if (parse) {
    app.use(async (ctx, next) => {
      let text = "";
      for await (const part of ctx.req) text += part;
      Object.assign(ctx.request, { body: Object.fromEntries(new URLSearchParams(text)) });
      await next();
    });
  }
  app.use(devicesPage({ sessions, ...options }));
  const served = await serve(app);
  onTestFinished(() => served[Symbol.asyncDispose]());
  const signIn = async (user: string, agent: string): Promise<Visitor> => {
    const browser = new Browser(served);
    await browser.request(`/in?user=${user}`, { headers: { "User-Agent": agent } });
    return Object.assign(browser, { publicId: await browser.text("/id") });
  };
  return { sessions, served, signIn };
}

const post = (
  browser: Browser,
  path: string,
  fields: Record<string, string> = {},
  headers: Record<string, string> = OWN,
): Promise<Response> =>
  browser.request(path, { method: "POST", headers, body: new URLSearchParams(fields) });

test("lists the user's devices, the current one first, and nobody else's", async () => {
  const { signIn } = await start({ clients: { presence: () => ({ listeners: 2 }) } });
  const laptop = await signIn("ada", FIREFOX);
  await signIn("ada", IPHONE);
  await signIn("grace", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Gecko Firefox/145.0");
  const response = await laptop.get("/devices");
  const html = await response.text();
  expect(response.status).toBe(200);
  expect(response.headers.get("Cache-Control")).toBe("no-store");
  const policy = response.headers.get("Content-Security-Policy");
  // The least that ASVS 5.0 asks for (3.4.3, 3.4.6).
  for (const it of ["base-uri", "frame-ancestors", "object-src"]) {
    expect(policy).toContain(`${it} 'none'`);
  }
  expect([...html.matchAll(/<h2>(.*?)<\/h2>/g)].map((it) => it[1])).toEqual([
    "Firefox on Linux",
    "Safari on iPhone",
  ]);
  expect(html.match(/This device/g)).toHaveLength(1);
  expect(html.match(/Connected now/g)).toHaveLength(2);
  expect(html).not.toMatch(/<script|<style|style=|\son\w+=|Windows/i);
  for (const cookie of laptop.cookies.values()) expect(html).not.toContain(cookie);
});

test.each([false, true])("the forms work (read by the app's own parser: %s)", async (parse) => {
  const { signIn, sessions } = await start({}, parse);
  const laptop = await signIn("ada", FIREFOX);
  const phone = await signIn("ada", IPHONE);
  const tablet = await signIn("ada", IPHONE);
  const named = await post(laptop, "/devices/label", { label: "  Ada’s desk " });
  expect([named.status, named.headers.get("Location")]).toEqual([303, "/devices"]);
  expect(await laptop.text("/devices")).toContain("<h2>Ada’s desk</h2>");
  expect((await post(laptop, "/devices/end", { device: phone.publicId })).status).toBe(303);
  expect(await phone.text("/who")).toBe("nobody");
  expect(await tablet.text("/who")).toBe("ada");
  expect((await post(laptop, "/devices/end-others")).headers.get("Location")).toBe("/devices");
  expect(await tablet.text("/who")).toBe("nobody");
  await post(laptop, "/devices/label", { label: "" });
  expect((await sessions.list({ user: "ada" })).map((it) => it.label)).toEqual([undefined]);
  const over = await post(laptop, "/devices/end", { device: laptop.publicId });
  expect([over.status, over.headers.get("Location")]).toEqual([303, "/"]);
  expect(laptop.cookies.size).toBe(0);
});

test("signing out everywhere ends every device, and this one with its cookie", async () => {
  const { signIn, sessions } = await start({ signedOut: "/bye" });
  const laptop = await signIn("ada", FIREFOX);
  await signIn("ada", IPHONE);
  expect((await post(laptop, "/devices/end-all")).headers.get("Location")).toBe("/bye");
  expect(laptop.cookies.size).toBe(0);
  expect(await sessions.list({ user: "ada" })).toEqual([]);
});

test.each(["label", "end", "end-others", "end-all"])(
  "a POST to %s from another site, or of whoever is not signed in, changes nothing",
  async (action) => {
    const { signIn, served, sessions } = await start();
    const laptop = await signIn("ada", FIREFOX);
    await signIn("ada", IPHONE);
    const fields = { device: laptop.publicId, label: "evil" };
    const others = [
      { "Sec-Fetch-Site": "cross-site" },
      { "Sec-Fetch-Site": "same-site" },
      { Origin: "https://evil.example" },
      { Origin: "null" },
      {},
    ];
    for (const headers of others) {
      const response = await post(laptop, `/devices/${action}`, fields, headers as typeof OWN);
      expect(response.status).toBe(403);
    }
    const stranger = await post(new Browser(served), `/devices/${action}`, fields);
    expect(stranger.status).toBe(401);
    expect((await laptop.get(`/devices/${action}`)).status).toBe(405);
    const all = await sessions.list({ user: "ada" });
    expect(all.map((it) => it.label)).toEqual([undefined, undefined]);
  },
);

test("any device of the user's is named, and its own request sees the name", async () => {
  const { signIn, sessions } = await start();
  const laptop = await signIn("ada", FIREFOX);
  const phone = await signIn("ada", IPHONE);
  const { publicId: device } = phone;
  await post(laptop, "/devices/label", { device, label: " Pocket " });
  await post(laptop, "/devices/label", { device: laptop.publicId, label: "Desk" });
  for (const it of [laptop, phone]) {
    const html = await it.text("/devices");
    for (const name of ["Pocket", "Desk"]) expect(html).toContain(`<h2>${name}</h2>`);
  }
  const labels = async () => (await sessions.list({ user: "ada" })).map((it) => it.label).sort();
  expect((await post(laptop, "/devices/label", { device, label: "a\nb" })).status).toBe(422);
  expect(await labels()).toEqual(["Desk", "Pocket"]);
  await post(laptop, "/devices/label", { device, label: "" });
  expect(await labels()).toEqual(["Desk", undefined]);
});

test("a device of somebody else is like one that has ended, and stays", async () => {
  const { signIn, sessions } = await start();
  const laptop = await signIn("ada", FIREFOX);
  const grace = await signIn("grace", IPHONE);
  for (const device of [grace.publicId, "x", "", "\0", "d".repeat(3000)]) {
    expect((await post(laptop, "/devices/end", { device })).status).toBe(303);
    expect((await post(laptop, "/devices/label", { device, label: "x" })).status).toBe(303);
  }
  expect(await grace.text("/who")).toBe("grace");
  for (const user of ["ada", "grace"]) {
    expect((await sessions.list({ user })).map((it) => it.label)).toEqual([undefined]);
  }
});

test("what a client sends is escaped, or refused with a reason", async () => {
  const { signIn } = await start();
  const laptop = await signIn("ada", FIREFOX);
  await post(laptop, "/devices/label", { label: `"><script>alert('x')</script>&` });
  const html = await laptop.text("/devices");
  expect(html).toContain("&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;");
  expect(html).not.toContain("<script");
  for (const label of ["x".repeat(65), "a\nb", "a\u202eb", "\0"]) {
    const refused = await post(laptop, "/devices/label", { label });
    expect(refused.status).toBe(422);
    expect(await refused.text()).toContain('role="alert"');
  }
});

test("a form that is too large is a 413 that closes the connection, and says so", async () => {
  const { signIn } = await start();
  const laptop = await signIn("ada", FIREFOX);
  const refused = await post(laptop, "/devices/label", { label: "x".repeat(5000) });
  expect([refused.status, refused.headers.get("Connection")]).toEqual([413, "close"]);
});

test("with within, a POST needs a fresh sign-in and the page doesn't", async () => {
  const redirect = (_ctx: unknown, returnTo: string) => `/confirm?to=${returnTo}`;
  const { signIn } = await start({ methods: ["otp"], within: 60_000, redirect });
  const laptop = await signIn("ada", FIREFOX);
  expect((await laptop.get("/devices")).status).toBe(200);
  const sent = await post(laptop, "/devices/end-all");
  expect(sent.headers.get("Location")).toBe("/confirm?to=/devices");
  expect(await laptop.text("/who")).toBe("ada");
});

test("whoever acts for the user sees the page and can't change anything", async () => {
  const { signIn, sessions } = await start();
  const laptop = await signIn("ada", FIREFOX);
  const grace = await signIn("grace", IPHONE);
  await grace.get("/act");
  expect((await grace.get("/devices")).status).toBe(200);
  expect((await post(grace, "/devices/end-all")).status).toBe(403);
  const acting = (await sessions.list({ user: "ada" })).find((it) => it.impersonator);
  expect(acting).toMatchObject({ browser: undefined, impersonator: { userId: "grace" } });
  expect(await laptop.text("/devices")).toContain("An administrator acts for you");
  await post(laptop, "/devices/end", { device: acting?.publicId ?? "" });
  expect(await grace.text("/who")).toBe("nobody");
});

test("an app draws the page around the list, or all of it", async () => {
  const { signIn } = await start({
    path: "/account/devices",
    render: (_ctx, { html, devices, actions }) =>
      `<body>${devices.length} ${actions.end}<hr>${html}`,
  });
  const laptop = await signIn("ada", FIREFOX);
  const html = await laptop.text("/account/devices");
  expect(html).toMatch(/^<body>1 \/account\/devices\/end<hr><section class="devices">/);
  expect((await laptop.get("/devices")).status).toBe(404);
});

test("a label beside an end revives nothing, whichever comes first", async () => {
  const { signIn, sessions } = await start();
  const laptop = await signIn("ada", FIREFOX);
  for (let round = 0; round < 10; round++) {
    const phone = await signIn("ada", IPHONE);
    await Promise.all([
      post(phone, "/devices/label", { label: `round ${round}` }),
      post(laptop, "/devices/end", { device: phone.publicId }),
    ]);
    expect(await phone.text("/who")).toBe("nobody");
    expect(await sessions.list({ user: "ada" })).toHaveLength(1);
  }
});

test("bad options are refused at construction", () => {
  const sessions = createSessions({ store: memoryStore() });
  const sealed = createSessions({
    store: sealedStore({ keys: ["k".repeat(32)], context: "devices" }),
  });
  const bad: object[] = [
    {},
    { sessions: sealed },
    { sessions, path: "devices" },
    { sessions, path: "/a/" },
    { sessions, clients: {} },
    { sessions, within: 1 },
    { sessions, csrf: true },
  ];
  for (const options of bad) {
    expect(() => devicesPage(options as DevicesPageOptions)).toThrow(/devicesPage|requireSession/);
  }
});

test("a request without a form has no fields: the name of the current device is removed", async () => {
  const { signIn } = await start();
  const laptop = await signIn("ada", FIREFOX);
  await post(laptop, "/devices/label", { label: "Desk" });
  const sent = await laptop.request("/devices/label", { method: "POST", headers: OWN });
  expect(sent.status).toBe(303);
  expect(await laptop.text("/devices")).not.toContain("Desk");
});
