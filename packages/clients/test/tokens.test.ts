import { createSessions, headerTracker, memoryStore, type Sessions } from "@lanai/session";
import { jwtTracker } from "@lanai/session-jwt";
import { describe, expect, test } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "./browser.ts";
import { type Site, type SiteOptions, startSite } from "./site.ts";

const secret = "a secret of thirty-two characters";
const header = "Session-ID";

/** A tab's session travels by token; only the client cookie is the browser's. */
async function startTokens(options: SiteOptions & { expiresIn?: number } = {}): Promise<Site> {
  const { expiresIn, ...rest } = options;
  const tracker = jwtTracker({
    secret,
    issuer: "test",
    client: (ctx) => site.clients.idOf(ctx),
    ...(expiresIn !== undefined && { expiresIn }),
  });
  const sessions: Sessions = createSessions({ store: memoryStore(), tracker });
  const site: Site = await startSite({ sessions, tokenHeader: header, ...rest });
  return site;
}

/** What a tab does first: says its token, or that it has none. */
async function hello(browser: Browser, token?: string) {
  const tab = browser.tab();
  await tab.opened;
  tab.say("session", { token });
  const { token: fresh } = (await tab.next("session")) as { token?: string };
  return { tab, token: fresh };
}

describe("a tab's first message", () => {
  test("without a token gets one, which names its session in requests", async () => {
    await using site = await startTokens();
    const browser = new Browser(site);
    await browser.get("/");
    const { tab, token = "" } = await hello(browser);
    expect(token.split(".")).toHaveLength(3);
    const [listener] = site.listeners;
    expect(listener?.session).toMatch(/^[\w-]{22}$/);

    const answer = await browser.get("/sign-in?user=ada", { headers: { [header]: token } });
    // The sign-in renewed the tab's session: its answer has the next token.
    expect(await tab.closed).toEqual({ code: 4403, reason: "renewed" });
    const meWith = async (it: string) =>
      (await browser.get("/me", { headers: { [header]: it } })).json();
    expect(await meWith(answer.headers.get(header) ?? "")).toMatchObject({ user: "ada" });
    expect(await meWith(token)).toMatchObject({ user: null });
  });

  test("gives each tab of a browser a session of its own, all findable by the client", async () => {
    await using site = await startTokens();
    const browser = new Browser(site);
    await browser.get("/");
    await hello(browser);
    await hello(browser);
    const [one, two] = site.listeners;
    expect(one?.client).toBe(two?.client);
    expect(one?.session).not.toBe(two?.session);
    const client = one?.client ?? "";
    expect(await site.sessions.list({ owner: `client:${client}` })).toHaveLength(2);
    expect(await site.clients.terminate({ client })).toMatchObject({ sessions: 2, here: 2 });
  });

  test("with a token takes the session up, also in two tabs (Duplicate Tab)", async () => {
    await using site = await startTokens();
    const browser = new Browser(site);
    await browser.get("/");
    const { tab, token } = await hello(browser);
    const duplicate = await hello(browser, token);
    expect(duplicate.token).toBeUndefined();
    const [one, two] = site.listeners;
    expect(two?.session).toBe(one?.session);
    await site.clients.send({ session: one?.session ?? "" }, "notice");
    for (const it of [tab, duplicate.tab]) await it.next("notice");
  });

  test("of a browser that got its cookie with the 101 is worth something there", async () => {
    await using site = await startTokens({ attach: { anonymous: true } });
    const browser = new Browser(site);
    const { token } = await hello(browser);
    const again = await hello(browser, token);
    expect(again.tab.socket.readyState).toBe(1);
    expect(site.listeners[1]?.session).toBe(site.listeners[0]?.session);
  });

  test("with an expired token of a live session gets a fresh one", async () => {
    await using site = await startTokens({ expiresIn: 1_000 });
    const browser = new Browser(site);
    await browser.get("/");
    const { tab, token = "" } = await hello(browser);
    tab.socket.close();
    const { exp } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
    await until(() => expect(Date.now()).toBeGreaterThan(exp * 1000 + 10));
    const again = await hello(browser, token);
    expect(again.token?.split(".")).toHaveLength(3);
    expect(again.token).not.toBe(token);
    expect(site.listeners[1]?.session).toBe(site.listeners[0]?.session);
  });

  test("signed in by it, the tab is the user's", async () => {
    await using site = await startTokens();
    const browser = new Browser(site);
    await browser.get("/");
    const response = await browser.get("/sign-in?user=ada");
    const { tab } = await hello(browser, response.headers.get(header) ?? "");
    expect(site.listeners[0]?.user).toBe("ada");
    await site.clients.send({ user: "ada" }, "notice", 1);
    expect(await tab.next("notice")).toBe(1);
    expect(site.clients.presence({ user: "ada" })).toMatchObject({ listeners: 1, sessions: 1 });
  });

  test.each(["forged.forged.forged", "", "x", `${"a".repeat(5_000)}`])(
    "with a token that is none (%s) closes it with 4401",
    async (token) => {
      await using site = await startTokens();
      const browser = new Browser(site);
      await browser.get("/");
      const tab = browser.tab();
      await tab.opened;
      tab.say("session", { token });
      expect((await tab.closed).code).toBe(4401);
    },
  );

  test.each([7, null, {}, []])("with a token of %j is malformed", async (token) => {
    await using site = await startTokens();
    const browser = new Browser(site);
    await browser.get("/");
    const tab = browser.tab();
    await tab.opened;
    tab.say("session", { token });
    expect((await tab.closed).code).toBe(4400);
  });

  test("with a token that was stolen from another browser closes it with 4401", async () => {
    await using site = await startTokens();
    const victim = new Browser(site);
    await victim.get("/");
    const { tab, token = "" } = await hello(victim);
    const thief = new Browser(site);
    await thief.get("/");
    const stolen = thief.tab();
    await stolen.opened;
    stolen.say("session", { token });
    expect((await stolen.closed).code).toBe(4401);
    // The victim's session is not ended by that.
    tab.say("session", { token });
    await tab.next("session");
  });

  test("of a session that was terminated closes it with 4401, of a renewed one with 4403", async () => {
    await using site = await startTokens();
    const browser = new Browser(site);
    await browser.get("/");
    const first = await hello(browser);
    const second = await hello(browser);
    await site.clients.terminate({ session: site.listeners[0]?.session ?? "" });
    await browser.get("/renew", { headers: { [header]: second.token ?? "" } });
    expect((await second.tab.closed).code).toBe(4403);
    for (const [token, code] of [
      [first.token, 4401],
      [second.token, 4403],
    ] as const) {
      const tab = browser.tab();
      await tab.opened;
      tab.say("session", { token });
      expect((await tab.closed).code).toBe(code);
    }
  });

  test("holds up what comes after it until it is clear who says that", async () => {
    const heard: unknown[] = [];
    await using site = await startTokens({
      live: (listener) => void listener.on("say", () => heard.push(listener.session)),
    });
    const browser = new Browser(site);
    await browser.get("/");
    const tab = browser.tab();
    await tab.opened;
    tab.say("session", {});
    tab.say("say");
    await until(() => expect(heard).toHaveLength(1));
    expect(heard[0]).toBe(site.listeners[0]?.session);
    expect(heard[0]).toBeDefined();
  });
});

test("a handshake that carries a valid token needs no client cookie", async () => {
  const sessions = createSessions({ store: memoryStore(), tracker: headerTracker() });
  await using site = await startSite({ sessions });
  const { headers } = await sessions.create({ userId: "ada" });
  const browser = new Browser(site);
  await browser.tab("/live", headers).opened;
  await until(() => expect(site.listeners[0]?.user).toBe("ada"));
  expect(await browser.tab("/live", { "session-id": "a".repeat(43) }).refused).toMatchObject({
    status: 401,
  });
});

test("where sessions travel in a cookie, a first message makes none", async () => {
  const store = memoryStore();
  await using site = await startSite({ store });
  const browser = new Browser(site);
  await browser.get("/");
  const tab = await browser.open(site);
  tab.say("session", {});
  expect(await tab.next("session")).toEqual({});
  expect(store.size).toBe(0);
});
