import { randomBytes } from "node:crypto";
import { flash } from "@lanai/flash";
import { type Store, sealedStore } from "@lanai/session";
import { jwtStore } from "@lanai/session-jwt";
import type { Context } from "koa";
import { beforeEach, describe, expect, test } from "vitest";
import type { Browser } from "../../session/test/http.ts";
import { type Site, site } from "../../session/test/site.ts";

const stores: readonly (readonly [string, () => Store])[] = [
  ["a sealed-cookie session", () => sealedStore({ context: "app", keys: [randomBytes(32)] })],
  [
    "a session in a JSON Web Token",
    () =>
      jwtStore({ secret: randomBytes(32), issuer: "https://flash.example", expiresIn: 3_600_000 }),
  ],
];

/** What "once" can't mean on a session that is wholly in its cookie: no server remembers. */
describe.each(stores)("limit: on %s", (_, store) => {
  let it: Site;
  let browser: Browser;

  beforeEach(async () => {
    const routes = {
      "/leave": (ctx: Context) => ctx.flash(String(ctx.query.text)),
      "/page": (ctx: Context) => ctx.flash.pop(),
    };
    it = await site(routes, {
      store: store(),
      below: flash(),
    });
    browser = it.browser();
    await browser.get("/leave?text=it");
    return () => it[Symbol.asyncDispose]();
  });

  const MESSAGE = '[{"level":"info","message":"it"}]';

  test("a message is shown once to a browser that keeps the newest cookie", async () => {
    expect(await browser.text("/page")).toBe(MESSAGE);
    expect(await browser.text("/page")).toBe("[]");
  });

  test("limit: an old cookie, sent again, shows the message again", async () => {
    const copy = browser.clone();
    expect(await browser.text("/page")).toBe(MESSAGE);
    expect(await copy.text("/page")).toBe(MESSAGE);
  });

  test("limit: two requests at once both get the message", async () => {
    const popped = await Promise.all([browser.text("/page"), browser.clone().text("/page")]);
    expect(popped).toEqual([MESSAGE, MESSAGE]);
  });

  test("limit: of two requests that leave a message at once one does", async () => {
    await Promise.all(["a", "b"].map((text) => browser.get(`/leave?text=${text}`)));
    const popped = JSON.parse(await browser.text("/page"));
    expect(popped).toHaveLength(2);
    expect(popped[0]).toEqual({ level: "info", message: "it" });
  });

  test("limit: what doesn't fit the cookie is an error, and the messages before it stay", async () => {
    const response = await browser.get(`/leave?text=${"x".repeat(5000)}`);
    expect(response.status).toBe(500);
    expect(it.errors).toMatchObject([{ code: "ERR_SESSION_TOO_LARGE" }]);
    expect(await browser.text("/page")).toBe(MESSAGE);
  });
});
