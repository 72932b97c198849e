import type { AddressInfo } from "node:net";
import {
  type CookieTrackerOptions,
  cookieTracker,
  createSessions,
  memoryStore,
} from "@lanai/session";
import Koa from "koa";
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { startChromium } from "../../../scripts/services/chromium.ts";
import { isLong, randomFrom, seed } from "../../../scripts/testing/chance.ts";

/** Chromium takes Secure cookies of hosts under localhost over plain HTTP, which `secure: true` sends. */
const HOST = "shop.site.localhost";
const SIBLING = "blog.site.localhost";
const store = memoryStore();

/** One deployment of the app: the same store, cookies with other attributes. */
async function deploy(options: CookieTrackerOptions) {
  const tracker = cookieTracker({ secure: true, ...options });
  const sessions = createSessions({ store, tracker });
  const app = new Koa();
  app.use(async (ctx, next) => {
    if (ctx.path !== "/plant") return next();
    // A sibling host's response.
    ctx.set("Set-Cookie", `__Secure-sid=${ctx.query.value}; Domain=site.localhost; Path=/; Secure`);
    ctx.body = "planted";
  });
  app.use(sessions.middleware());
  app.use(async (ctx) => {
    const { session } = ctx;
    if (ctx.path === "/app/in") session.login("ada");
    if (ctx.path === "/app/out") await session.destroy();
    if (ctx.path === "/app/set") session.set("visits", 1);
    ctx.type = "html";
    ctx.body = session.userId ?? "nobody";
  });
  const server = app.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    sessions,
    port,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

const deployments: readonly CookieTrackerOptions[] = [
  {},
  { migrate: true },
  { partitioned: true },
  { migrate: true, partitioned: true },
  { domain: "site.localhost" },
  { domain: HOST },
  { path: "/app" },
  { domain: "site.localhost", path: "/app" },
  { domain: "site.localhost", partitioned: true },
];

/** What a script on a page of ours can do; resolves to the cookies that it sees afterwards. */
const plantByScript = (page: Page, id = ""): Promise<string> =>
  page.evaluate(`
    for (const prefix of ["__Host-Http-", "__Host-"]) {
      document.cookie = prefix + "sid=${id}; Secure; Path=/";
    }
    document.cookie`);

const ROUNDS = isLong ? 200 : 4;
const STEPS = 6;

test(`S18: in Chromium a sign-in ends signed in and a sign-out signed out, whatever deployments, siblings and scripts have left (LANAI_SEED=${seed})`, async () => {
  const below = randomFrom(seed);
  await using browser = await startChromium();
  const sites = await Promise.all(deployments.map(deploy));
  const text = async (page: Page, url: string) => (await page.goto(url))?.text();
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const visitor = await browser.newContext();
      const page = await visitor.newPage();
      const history: string[] = [];
      for (let step = 0; step < STEPS; step++) {
        const n = below(sites.length);
        const site = sites[n] as (typeof sites)[number];
        const at = (path: string, host = HOST) => `http://${host}:${site.port}${path}`;
        const act = ["/app/in", "/app/out", "/app/set", "sibling", "script"][below(5)] as string;
        history.push(`${n}: ${act}`);
        if (act === "sibling") {
          const { session } = await site.sessions.create({ values: { planted: 1 } });
          await page.goto(at(`/plant?value=${session.id}`, SIBLING));
        } else if (act === "script") {
          const { session } = await site.sessions.create({ userId: "eve" });
          await page.goto(at("/app/"));
          await plantByScript(page, session.id);
        } else {
          await page.goto(at(act));
          const expected = { "/app/in": "ada", "/app/out": "nobody" }[act];
          if (expected === undefined) continue;
          const where = `round ${round}: ${history.join(", ")}`;
          expect(await text(page, at("/app/")), where).toBe(expected);
        }
      }
      await visitor.close();
    }
  } finally {
    for (const site of sites) site.close();
  }
});

test("a script can't write the session cookie in Chromium, nor replace it", async () => {
  await using browser = await startChromium();
  const site = await deploy({});
  try {
    const page = await (await browser.newContext()).newPage();
    const url = `http://${HOST}:${site.port}`;
    const { session } = await site.sessions.create({ userId: "eve" });
    const plant = () => plantByScript(page, session.id);
    await page.goto(`${url}/app/`);
    expect(await plant()).toBe(`__Host-sid=${session.id}`);
    expect(await (await page.goto(`${url}/app/`))?.text()).toBe("nobody");
    await page.goto(`${url}/app/in`);
    await plant();
    expect(await (await page.goto(`${url}/app/`))?.text()).toBe("ada");
  } finally {
    site.close();
  }
});
