import { createSecretKey, generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { request } from "node:http";
import { createClients, type Listener } from "@lanai/clients";
import { createSessions, memoryStore } from "@lanai/session";
import { describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { until } from "../../../scripts/testing/until.ts";
import { koaVersions } from "../../session/test/koa-versions.ts";
import { keyOf } from "../../session/test/site.ts";
import { Browser } from "./browser.ts";
import { type Site, type SiteOptions, startSite as startSiteOf } from "./site.ts";

describe.each(koaVersions)("%s", (_version, App) => {
  const startSite = (options: SiteOptions = {}): Promise<Site> => startSiteOf({ App, ...options });

  describe("a browser", () => {
    test("is named by a cookie that scripts can't read, of which only a hash is shown", async () => {
      await using site = await startSite();
      const response = await new Browser(site).get("/me");
      const [line = ""] = response.headers.getSetCookie();
      expect(line).toMatch(/^cid=[\w-]{43}; Path=\/; Max-Age=34560000; HttpOnly; SameSite=Lax$/);
      expect(response.headers.get("cache-control")).toBe("no-store");
      expect([...response.headers.keys()].filter((it) => it.startsWith("cache"))).toHaveLength(1);
      const { client } = (await response.json()) as { client: string };
      expect(client).toMatch(/^[\w-]{22}$/);
      expect(line).not.toContain(client);
    });

    test("keeps its name, and gets no second cookie", async () => {
      await using site = await startSite();
      const browser = new Browser(site);
      const first = await (await browser.get("/me")).json();
      const second = await browser.get("/me");
      expect(second.headers.getSetCookie()).toEqual([]);
      expect(await second.json()).toEqual(first);
    });

    test("gets the cookie also with an error", async () => {
      await using site = await startSite({ route: (ctx) => ctx.throw(403) });
      const response = await new Browser(site).get("/forbidden");
      expect(response.status).toBe(403);
      expect(response.headers.getSetCookie().join()).toContain("cid=");
    });

    test("is named __Host- over HTTPS, and there the plain cookie counts for nothing", async () => {
      await using site = await startSite();
      site.app.proxy = true;
      const browser = new Browser(site);
      await browser.get("/me");
      const secure = { headers: { "X-Forwarded-Proto": "https" } };
      const response = await browser.get("/me", secure);
      expect(response.headers.getSetCookie().join()).toMatch(/^__Host-cid=.*; Secure/);
    });

    test.each(["", "short", "a".repeat(5_000), "a".repeat(42), `${"a".repeat(43)}.x`, "__proto__"])(
      "that sends %s is a new one",
      async (value) => {
        await using site = await startSite();
        const response = await new Browser(site).get("/me", {
          headers: { cookie: `cid=${value}` },
        });
        expect(response.headers.getSetCookie().join()).toContain("cid=");
      },
    );

    test.each(['""', "7"])("whose session holds the user %s is nobody's", async (user) => {
      const store = memoryStore();
      await using site = await startSite({ store });
      const { headers, session } = await site.sessions.create({ userId: "ada" });
      const set = new Map([["s:user", user]]);
      store.commit(keyOf(session.id ?? ""), { operation: "foreign", set });
      const browser = new Browser(site);
      browser.keep(headers.cookie ?? "");
      expect(await (await browser.get("/me")).json()).toMatchObject({ user: null });
      const { listener } = await browser.open(site);
      expect(listener).toMatchObject({ user: undefined, session: session.publicId });
    });

    test.each<[string, SiteOptions]>([
      ["unsigned", {}],
      ["signed", { keys: ["a key of the clients, of thirty-two bytes"] }],
    ])("is known by its %s cookie behind any number of malformed ones", async (_name, options) => {
      await using site = await startSite(options);
      const browser = new Browser(site);
      const first = await (await browser.get("/me")).json();
      const mark = options.keys ? `.${"A".repeat(43)}` : ".x";
      const bad = Array.from(
        { length: 60 },
        (_, n) => `cid=no-${n}; cid=${String(n).padEnd(43, "x")}${mark}`,
      );
      const headers = { cookie: `${bad.join("; ")}; ${browser.cookie}` };
      const response = await new Browser(site).get("/me", { headers });
      expect(await response.json()).toEqual(first);
      expect(response.headers.getSetCookie()).toEqual([]);
    });

    test.each([
      ["a value of another", (own: string) => `cid=planted; ${own}`],
      ["quotes (RFC 6265, 4.1.1)", (own: string) => own.replace(/cid=([^;]*)/, 'cid="$1"')],
    ])("is known by its cookie beside or in %s", async (_name, cookieOf) => {
      await using site = await startSite();
      const browser = new Browser(site);
      const first = await (await browser.get("/me")).json();
      const headers = { cookie: cookieOf(browser.cookie) };
      const response = await new Browser(site).get("/me", { headers });
      expect(await response.json()).toEqual(first);
      expect(response.headers.getSetCookie()).toEqual([]);
    });

    test("gets its cookie from another site where the app says so", async () => {
      await using site = await startSite({ secure: true, sameSite: "none", partitioned: true });
      const [line = ""] = (await new Browser(site).get("/me")).headers.getSetCookie();
      expect(line).toMatch(/; Secure; SameSite=None; Partitioned$/);
      for (const option of [{ sameSite: "none" }, { partitioned: true }] as const) {
        const { sessions } = site;
        expect(() => createClients({ sessions, ...option })).toThrow(/needs secure: true/);
      }
    });

    test("gets its cookie in a response that no shared cache stores", async () => {
      const set = {
        "Cache-Control": "public, max-age=600",
        Expires: "Thu, 01 Jan 2099 00:00:00 GMT",
        "X-Accel-Expires": "600",
        "CDN-Cache-Control": "max-age=600",
        "Surrogate-Control": "max-age=600",
      };
      await using site = await startSite({
        route: (ctx) => {
          ctx.set(set);
          ctx.body = "shared";
        },
      });
      const { headers } = await new Browser(site).get("/shared");
      expect(headers.getSetCookie().join()).toContain("cid=");
      expect(headers.get("cache-control")).toBe("no-store");
      for (const name of Object.keys(set).slice(1)) expect(headers.has(name)).toBe(false);
    });

    test("finds its sessions by its public id", async () => {
      await using site = await startSite();
      const browser = new Browser(site);
      const response = await browser.get("/sign-in?user=ada");
      expect(response.status).toBe(200);
      const { client } = (await (await browser.get("/me")).json()) as { client: string };
      const found = await site.sessions.list({ owner: `client:${client}` });
      expect(found.map((it) => it.userId)).toEqual(["ada"]);
    });

    test("finds a session that was only loaded while the request ran", async () => {
      const sessions = createSessions({ store: memoryStore(), load: "lazy" });
      await using site = await startSite({
        sessions,
        route: async (ctx) => {
          await ctx.session.load();
          ctx.session.login("ada");
          ctx.body = ctx.client;
        },
      });
      const response = await new Browser(site).get("/lazy");
      const { id } = (await response.json()) as { id: string };
      expect(await sessions.list({ owner: `client:${id}` })).toHaveLength(1);
    });

    test("without cookies doesn't grow the session that it sends", async () => {
      await using site = await startSite();
      const { headers } = await site.sessions.create({ userId: "ada" });
      for (let i = 0; i < 3; i++) await new Browser(site).get("/me", { headers });
      const [session] = await site.sessions.list({ user: "ada" });
      const owners = [...(session?.owners ?? [])].sort();
      expect(owners).toEqual([`session:${session?.publicId}`, "user:ada"]);
    });

    test("that reads its session costs one load, and no write but the first", async () => {
      const store = memoryStore();
      const calls: string[] = [];
      for (const name of ["load", "create", "commit"] as const) {
        const call = store[name].bind(store) as (...args: unknown[]) => unknown;
        const counted = (...args: unknown[]) => {
          calls.push(name);
          return call(...args);
        };
        Object.assign(store, { [name]: counted });
      }
      const callsOf = async (work: Promise<unknown>) => {
        await work;
        return calls.splice(0);
      };
      await using site = await startSite({ store });
      const browser = new Browser(site);
      expect(await callsOf(browser.get("/"))).toEqual([]);
      expect(await callsOf(browser.get("/sign-in?user=ada"))).toEqual(["create"]);
      for (let i = 0; i < 2; i++) expect(await callsOf(browser.get("/me"))).toEqual(["load"]);
      // A session that another program made gets its owners once.
      const { headers } = await site.sessions.create({ userId: "ada" });
      const other = new Browser(site);
      await other.get("/");
      other.keep(headers.cookie ?? "");
      calls.length = 0;
      expect(await callsOf(other.get("/me"))).toEqual(["load", "commit"]);
      expect(await callsOf(other.get("/me"))).toEqual(["load"]);
    });

    test.each(["a request", "a tab"])(
      "limit: a session is found by eight browsers at most, however many bring it in %s",
      async (way) => {
        await using site = await startSite();
        const { headers } = await site.sessions.create({ userId: "ada" });
        for (let i = 0; i < 12; i++) {
          const browser = new Browser(site);
          await browser.get("/");
          browser.keep(headers.cookie ?? "");
          if (way === "a request") await browser.get("/me");
          else (await browser.open(site)).socket.close();
        }
        const [session] = await site.sessions.list({ user: "ada" });
        const clients = [...(session?.owners ?? [])].filter((it) => it.startsWith("client:"));
        expect(clients).toHaveLength(8);
      },
    );

    test("pays nothing where a lazy session isn't asked for", async () => {
      const store = memoryStore();
      const load = vi.spyOn(store, "load");
      const commit = vi.spyOn(store, "commit");
      await using site = await startSite({ sessions: createSessions({ store, load: "lazy" }) });
      const { headers } = await site.sessions.create({ userId: "ada" });
      const browser = new Browser(site);
      browser.keep(headers.cookie ?? "");
      for (let i = 0; i < 2; i++) expect((await browser.get("/")).status).toBe(200);
      expect(load).not.toHaveBeenCalled();
      expect(commit).not.toHaveBeenCalled();
    });

    test("whose sign-in can't be stored is told so, unless its handler has failed before", async () => {
      const store = memoryStore();
      store.create = () => {
        throw new Error("down");
      };
      await using site = await startSite({
        store,
        route: (ctx) => {
          ctx.session.login("ada");
          ctx.throw(403);
        },
      });
      const browser = new Browser(site);
      expect((await browser.get("/sign-in?user=ada")).status).toBe(503);
      expect((await browser.get("/refused")).status).toBe(403);
      expect(browser.cookies.has("sid")).toBe(false);
    });

    test("whose sign-in is followed by an error is told of that, and is signed in", async () => {
      await using site = await startSite({
        route: (ctx) => {
          ctx.session.login("ada");
          ctx.throw(403);
        },
      });
      const browser = new Browser(site);
      expect((await browser.get("/refused")).status).toBe(403);
      expect(await (await browser.get("/me")).json()).toMatchObject({ user: "ada" });
    });
  });

  describe("keys", () => {
    const [first, second] = ["é".repeat(16), Buffer.alloc(32, 2)] as const;

    test("only a cookie that was issued is taken", async () => {
      await using site = await startSite({ keys: [first] });
      const browser = new Browser(site);
      await browser.get("/");
      expect(browser.cookies.get("cid")).toMatch(/^[\w-]{43}\.[\w-]{43}$/);
      expect((await browser.get("/me")).headers.getSetCookie()).toEqual([]);
      const forged = new Browser(site);
      forged.cookies.set("cid", `${"a".repeat(43)}.${"b".repeat(43)}`);
      expect((await forged.get("/me")).headers.getSetCookie()).toHaveLength(1);
      forged.cookies.set("cid", "a".repeat(43));
      expect(await forged.tab().refused).toMatchObject({ status: 401 });
    });

    test("all verify, the first signs, and the name stays", async () => {
      await using old = await startSite({ keys: [first] });
      await using site = await startSite({ keys: [second, first] });
      const browser = new Browser(old);
      const before = await (await browser.get("/me")).json();
      await browser.get("/");
      const again = await browser.at(site).get("/me");
      expect(again.headers.getSetCookie()).toHaveLength(1);
      expect(await again.json()).toEqual((await (await browser.get("/me")).json()) as object);
      expect(await (await browser.get("/me")).json()).toEqual(before);
      expect((await browser.get("/me")).headers.getSetCookie()).toEqual([]);
    });

    test("are counted in bytes", () => {
      const sessions = createSessions({ store: memoryStore() });
      for (const short of ["é".repeat(15), Buffer.alloc(31), "k".repeat(31)]) {
        expect(() => createClients({ sessions, keys: [first, short] })).toThrow(
          `keys[1] must have at least 32 bytes, got ${Buffer.byteLength(short)}`,
        );
      }
      const { publicKey } = generateKeyPairSync("ed25519");
      expect(() => createClients({ sessions, keys: [publicKey] })).toThrow(
        "keys[0] must be a string, a Uint8Array or a secret KeyObject",
      );
      createClients({ sessions, keys: [createSecretKey(second)] });
    });

    test("limit: without them whatever has the form of a cookie is taken for one that was issued", async () => {
      await using site = await startSite();
      const browser = new Browser(site);
      browser.cookies.set("cid", "a".repeat(43));
      const { listener } = await browser.open(site);
      expect(listener.client).toMatch(/^[\w-]{22}$/);
    });
  });

  describe("a WebSocket", () => {
    test("without a client cookie is refused with 401 before the 101, and gets none by that", async () => {
      await using site = await startSite();
      const { status, headers, body } = await new Browser(site).tab().refused;
      expect(status).toBe(401);
      expect(headers["www-authenticate"]).toContain("ERR_CLIENTS_UNKNOWN_CLIENT");
      expect(headers["set-cookie"]).toBeUndefined();
      expect(body).toContain("client cookie");
      expect(site.listeners).toEqual([]);
    });

    test("whose upgrade a proxy dropped is a 426 that names the setting, and joins nothing", async () => {
      await using site = await startSite();
      const joined: unknown[] = [];
      site.clients.on("join", (event) => joined.push(event));
      const { cookie } = await new Browser(site).signIn("ada");
      for (const accept of ["*/*", "text/event-stream"]) {
        // Raw, since fetch sends no header of a handshake.
        const sent = request(`${site.url}/live`, {
          headers: { cookie, accept, "Sec-WebSocket-Key": "x", "Sec-WebSocket-Version": "13" },
        }).end();
        const [response] = await once(sent, "response");
        expect(response).toMatchObject({ statusCode: 426, headers: { upgrade: "websocket" } });
        const text = Buffer.concat(await response.toArray()).toString();
        expect(text).toContain("proxy_set_header Upgrade $http_upgrade");
      }
      // One that is live joins.
      await (await new Browser(site).signIn("bob")).open(site);
      await until(() => expect(joined).toEqual([expect.objectContaining({ user: "bob" })]));
      expect(site.listeners).toHaveLength(1);
    });

    test("with the cookie of an earlier page is a listener of that browser", async () => {
      await using site = await startSite();
      const browser = new Browser(site);
      const { client } = (await (await browser.get("/me")).json()) as { client: string };
      const { listener } = await browser.open(site);
      expect(listener).toMatchObject({ kind: "websocket", client, session: undefined });
      expect(listener.id).toMatch(/^[\w-]{27}$/);
    });

    test("that brings a live session needs no client cookie", async () => {
      await using site = await startSite();
      const { headers, session } = await site.sessions.create({ userId: "ada" });
      const browser = new Browser(site);
      await browser.tab("/live", headers).opened;
      await until(() => expect(site.listeners).toHaveLength(1));
      expect(site.listeners[0]).toMatchObject({
        client: undefined,
        session: session.publicId,
        user: "ada",
      });
    });

    test("that is anonymous gets its cookie with the 101", async () => {
      await using site = await startSite({ attach: { anonymous: true } });
      const browser = new Browser(site);
      const { listener } = await browser.open(site);
      expect(browser.cookies.get("cid")).toMatch(/^[\w-]{43}$/);
      const { client } = (await (await browser.get("/me")).json()) as { client: string };
      expect(listener.client).toBe(client);
    });

    test("two tabs of one browser are two listeners, each with an id of its own", async () => {
      await using site = await startSite();
      const browser = await new Browser(site).signIn("ada");
      const [one, two] = [await browser.open(site), await browser.open(site)];
      expect(one.listener.id).not.toBe(two.listener.id);
      expect(one.listener.client).toBe(two.listener.client);
      expect(one.listener.session).toBe(two.listener.session);
    });

    test("is a listener of its browser also where the middleware isn't mounted", async () => {
      const sessions = createSessions({ store: memoryStore() });
      await using site = await startSite({ sessions });
      const browser = new Browser(site);
      const { client } = (await (await browser.get("/me")).json()) as { client: string };
      const bare = createClients({ sessions });
      let listener: Listener | undefined;
      site.app.middleware.splice(0, Infinity, async (ctx) => {
        listener = await bare.attach(ctx, { anonymous: ctx.path === "/anonymous" });
      });
      for (const path of ["/live", "/anonymous"]) {
        listener = undefined;
        await browser.tab(path).opened;
        await until(() => expect(listener?.client).toBe(client));
      }
      expect(await new Browser(site).tab().refused).toMatchObject({ status: 401 });
      await bare.close();
    });

    test("says and hears event and data", async () => {
      await using site = await startSite({
        live: (listener) =>
          void listener.on("echo", (data) => listener.send("echoed", { got: data })),
      });
      const browser = await new Browser(site).signIn("ada");
      const tab = await browser.open(site);
      tab.say("echo", [1, "two"]);
      expect(await tab.next("echoed")).toEqual({ got: [1, "two"] });
    });

    test("what it says before its session was looked at waits, in order", async () => {
      const heard: unknown[] = [];
      const store = memoryStore();
      const gate = Promise.withResolvers<void>();
      let loads = -Infinity;
      const slow = {
        ...store,
        load: async (key: string) => {
          // The first is the request's own.
          if (++loads === 2) await gate.promise;
          return store.load(key);
        },
      };
      await using site = await startSite({
        store: slow,
        live: (listener) => void listener.on("say", (data) => heard.push(data)),
      });
      const browser = await new Browser(site).signIn("ada");
      loads = 0;
      const tab = browser.tab();
      await tab.opened;
      for (let i = 0; i < 3; i++) tab.say("say", i);
      expect(heard).toEqual([]);
      gate.resolve();
      await until(() => expect(heard).toEqual([0, 1, 2]));
    });

    test.each(["no JSON", "[]", "null", "{}", '{"event":7}', '{"event":"a\\nb"}', '"text"'])(
      "that sends %s is closed with 4400",
      async (text) => {
        await using site = await startSite();
        const browser = await new Browser(site).signIn("ada");
        const tab = await browser.open(site);
        tab.socket.send(text);
        expect(await tab.closed).toEqual({ code: 4400, reason: "malformed" });
      },
    );

    test("that sends bytes is closed with 4400", async () => {
      await using site = await startSite();
      const tab = await (await new Browser(site).signIn("ada")).open(site);
      tab.socket.send(Buffer.from("{}"));
      expect((await tab.closed).code).toBe(4400);
    });

    test("a handler that fails is told to the app, and the next message still comes", async () => {
      await using site = await startSite({
        live: (listener) => {
          listener.on("fail", async () => {
            throw new Error("handler");
          });
          listener.on("echo", () => listener.send("echoed"));
        },
      });
      const tab = await (await new Browser(site).signIn("ada")).open(site);
      tab.say("fail");
      tab.say("echo");
      await tab.next("echoed");
      expect(site.errors).toEqual([new Error("handler")]);
    });

    test("speaks a subprotocol that attach names", async () => {
      await using site = await startSite({ attach: { protocols: ["chat.v2", "chat.v1"] } });
      const browser = await new Browser(site).signIn("ada");
      const socket = new WebSocket(`${site.url.replace("http", "ws")}/live`, ["chat.v1"], {
        headers: { cookie: browser.cookie },
      });
      await new Promise((resolve) => socket.once("open", resolve));
      expect(socket.protocol).toBe("chat.v1");
      socket.terminate();
    });

    test("over the limit of its client ends the oldest with 1013", async () => {
      await using site = await startSite({ maxPerClient: 3 });
      const browser = new Browser(site);
      await browser.get("/");
      const tabs = [];
      for (let i = 0; i < 4; i++) tabs.push(await browser.open(site));
      expect(await tabs[0]?.closed).toEqual({ code: 1013, reason: "limit" });
      expect(tabs.map((it) => it.listener.endReason)).toEqual(["limit", ...Array(3)]);
    });

    test("over the limit of its session ends the oldest with 1013", async () => {
      await using site = await startSite();
      const browser = await new Browser(site).signIn("ada");
      const oldest = await browser.open(site);
      for (let i = 0; i < 19; i++) await browser.open(site);
      const living = await browser.open(site);
      expect(await oldest.closed).toEqual({ code: 1013, reason: "limit" });
      expect(living.listener.endReason).toBeUndefined();
      expect(site.clients.size.listeners).toBe(20);
    });
  });

  describe("a session", () => {
    test("begun by the request itself is committed before the 101, and its cookie is on it", async () => {
      const site = await startSite({
        route: async (ctx) => {
          ctx.session.set("theme", "dark");
          const listener = await site.clients.attach(ctx);
          listener.send("session-id", listener.session);
        },
      });
      await using _ = site;
      const browser = new Browser(site);
      await browser.get("/");
      const tab = browser.tab("/fresh");
      expect(await tab.next("session-id")).toMatch(/^[\w-]{22}$/);
      expect(browser.cookies.get("sid")).toMatch(/^[\w-]{43}$/);
    });

    test("is findable by its public id and its browser once it had a listener", async () => {
      await using site = await startSite();
      const { headers, session } = await site.sessions.create({ userId: "ada" });
      const browser = new Browser(site);
      await browser.get("/");
      browser.keep(headers.cookie ?? "");
      const { listener } = await browser.open(site);
      expect(listener.session).toBe(session.publicId);
      for (const owner of [`session:${listener.session}`, `client:${listener.client}`]) {
        expect(await site.sessions.list({ owner })).toHaveLength(1);
      }
    });
  });

  test("the last listener gone, nothing of the client remains", async () => {
    await using site = await startSite({ leaveGrace: 10 });
    const browser = await new Browser(site).signIn("ada");
    const tabs = [await browser.open(site), await browser.open(site)];
    expect(site.clients.size.listeners).toBe(2);
    for (const tab of tabs) tab.socket.close();
    await until(() => expect(site.clients.size).toEqual({ listeners: 0, present: 0, other: 0 }));
  });
});
