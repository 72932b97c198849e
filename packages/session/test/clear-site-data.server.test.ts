import type { AddressInfo } from "node:net";
import { cookieTracker, createSessions, memoryStore, type SiteData } from "@lanai/session";
import Koa from "koa";
import { expect, test } from "vitest";
import { startChromium } from "../../../scripts/services/chromium.ts";

/** Signs in, stores something in the page, signs out, and tells what the browser still has. */
async function signOut(clearSiteData: readonly SiteData[]) {
  // Chromium takes localhost for secure; a proxy that ends HTTPS would say so to Koa.
  const app = new Koa({ proxy: true });
  app.use((ctx, next) => {
    ctx.req.headers["x-forwarded-proto"] = "https";
    return next();
  });
  const tracker = cookieTracker();
  app.use(createSessions({ store: memoryStore(), tracker }).middleware());
  app.use(async (ctx) => {
    const { session } = ctx;
    if (ctx.path === "/in") session.login("ada");
    if (ctx.path === "/out") {
      await session.destroy({ clearSiteData });
      session.set("farewell", "Bye");
    }
    ctx.type = "html";
    ctx.body = `${session.userId ?? "nobody"} ${session.getString("farewell", "-")}`;
  });
  const server = app.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const url = `http://localhost:${(server.address() as AddressInfo).port}`;
  await using browser = await startChromium();
  try {
    const page = await (await browser.newContext()).newPage();
    await page.goto(`${url}/in`);
    await page.evaluate('localStorage.setItem("draft", "secret")');
    expect(await (await page.goto(`${url}/`))?.text()).toBe("ada -");
    await page.goto(`${url}/out`);
    const text = await (await page.goto(`${url}/`))?.text();
    return { text, draft: await page.evaluate('localStorage.getItem("draft")') };
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

test('in Chromium "storage" deletes what the pages stored, and the farewell arrives', async () => {
  expect(await signOut(["storage"])).toEqual({ text: "nobody Bye", draft: null });
});

test('limit: with "cookies" Chromium drops the cookies of this response, and the farewell is lost', async () => {
  expect(await signOut(["cookies"])).toEqual({ text: "nobody -", draft: "secret" });
});
