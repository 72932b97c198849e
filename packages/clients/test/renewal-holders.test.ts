import type { Session } from "@lanai/session";
import type { Context } from "koa";
import { describe, expect, test } from "vitest";
import { Browser } from "./browser.ts";
import { startSite } from "./site.ts";

/** Every kind of long-lived code that holds a session: how the test gets hold of it. */
const holders: Record<string, (ctx: Context) => Promise<Session | undefined>> = {
  "the handler of a WebSocket or an event stream": async (ctx) => ctx.session,
  "a session that a handler opened": (ctx) => site.sessions.open(ctx.session.id ?? ""),
  "a session that a socket's first message named": async (ctx) =>
    (await site.sessions.receive(ctx, ctx.session.id ?? "")).session,
};
let site: Awaited<ReturnType<typeof startSite>>;

const tries: ((session: Session) => Promise<unknown>)[] = [
  async (session) => session.set("late", 1).commit(),
  (session) => session.update("n", (n) => Number(n ?? 0) + 1),
  (session) => session.pop("secret"),
  (session) => session.reload(),
  (session) => session.update("n", (n) => Number(n ?? 0) + 1),
  async (session) => session.set("later", 1).commit(),
  (session) => session.reload(),
];

describe.each(["WebSocket", "event stream"])("S19: a %s that outlives a renewal", (transport) => {
  test.each(
    Object.keys(holders).flatMap((holder) => [
      [holder, "sign-in?user=ada"],
      [holder, "renew"],
    ]),
  )("%s never follows /%s", async (holder, renewal) => {
    const held = Promise.withResolvers<Session | undefined>();
    site = await startSite({
      live: async (_listener, ctx) => {
        holders[holder]?.(ctx).then(held.resolve, held.reject);
      },
      route: (ctx) => {
        const { session } = ctx;
        if (ctx.path === "/begin") session.set("n", 0);
        if (ctx.path === "/secret") session.set("secret", "hers").set("n", 7);
        ctx.body = { user: session.userId ?? null, ...session.toJSON() };
      },
    });
    await using _ = site;
    const browser = new Browser(site);
    await browser.get("/begin");
    const before = browser.cookie;
    const stop = new AbortController();
    if (transport === "WebSocket") await browser.open(site);
    else {
      await browser.get("/live", {
        headers: { accept: "text/event-stream" },
        signal: stop.signal,
      });
    }
    const session = await held.promise;

    await browser.get(`/${renewal}`);
    expect(browser.cookie).not.toBe(before);
    await browser.get("/secret");
    if (session === undefined) throw new Error("the handler holds no session");
    for (const attempt of tries) {
      // What may be written, and what is refused, the orders of the conformance suite say.
      const told = await attempt(session).catch((error: { code?: string }) => {
        expect(error.code).toMatch(/^ERR_SESSION_(RENEWED|SENT|GONE)$/);
      });
      const seen = JSON.stringify([told, session.userId, session.id, session.owners, session]);
      expect(seen).not.toMatch(/hers|ada/);
      expect(session.get("n")).not.toBe(7);
    }
    const stored = await (await browser.get("/read")).json();
    expect(stored).toMatchObject({ secret: "hers", n: 7 });
    if (renewal !== "renew") expect(stored).not.toHaveProperty("late");
    expect(stored).not.toHaveProperty("later");
    stop.abort();
  });
});
