import { connect } from "node:net";
import { createSessions, type IndexedStore, memoryStore, type Store } from "@lanai/session";
import { describe, expect, test } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "./browser.ts";
import { network } from "./net.ts";
import { startSite } from "./site.ts";

/** Two processes of one app: a store, a bus. */
async function startTwo(options: Parameters<typeof startSite>[0] = {}) {
  const line = network();
  const store: IndexedStore = memoryStore();
  const [one, two] = [line(), line()];
  const here = await startSite({ store, pubsub: one, ...options });
  const there = await startSite({ store, pubsub: two, ...options });
  return {
    ...{ here, there, store, lines: { here: one, there: two } },
    async [Symbol.asyncDispose]() {
      await here[Symbol.asyncDispose]();
      await there[Symbol.asyncDispose]();
    },
  };
}

const ENDED = { code: 4401, reason: "terminated" };

describe("C1: terminate", () => {
  test("ends a tab whose session somebody else has ended in the store, before it resolves", async () => {
    const store = memoryStore();
    await using site = await startSite({ store });
    const tab = await (await new Browser(site).signIn("ada")).open(site);
    expect(await createSessions({ store }).destroyAll({ user: "ada" })).toBe(1);
    expect(tab.listener.endReason).toBeUndefined();
    const report = await site.clients.terminate({ user: "ada" });
    expect(report).toMatchObject({ sessions: 0, here: 1 });
    expect(await tab.closed).toEqual(ENDED);
  });

  test("of a session ends its tabs, and its next request is anonymous", async () => {
    await using site = await startSite();
    const browser = await new Browser(site).signIn("ada");
    const other = await new Browser(site).signIn("ada");
    const tabs = [await browser.open(site), await browser.open(site)];
    const bystander = await other.open(site);
    const session = tabs[0]?.listener.session ?? "";

    const report = await site.clients.terminate({ session });
    expect(report).toEqual({ sessions: 1, here: 2, bus: "none", bound: 0 });
    for (const tab of tabs) expect(await tab.closed).toEqual(ENDED);
    expect(await (await browser.get("/me")).json()).toMatchObject({ user: null });
    expect(await (await other.get("/me")).json()).toMatchObject({ user: "ada" });
    expect(bystander.listener.endReason).toBeUndefined();
  });

  test.each([
    ["/sign-in?user=ada", "one who has just signed in"],
    ["/as-other", "one who was another"],
    ["/commit", "one whose handler committed"],
    ["/refused", "one whose handler failed"],
  ])("of a session finds it before its next request: %s, %s", async (path) => {
    await using site = await startSite({
      route: async (ctx) => {
        ctx.session.login("ada");
        if (ctx.path === "/as-other") ctx.session.login("grace");
        if (ctx.path === "/commit") await ctx.session.commit();
        if (ctx.path === "/refused") ctx.throw(403);
        ctx.body = "signed in";
      },
    });
    const browser = new Browser(site);
    await browser.get(path);
    const user = path === "/as-other" ? "grace" : "ada";
    const [session] = await site.sessions.list({ user });
    expect(session).toBeDefined();
    const report = await site.clients.terminate({ session: session?.publicId ?? "" });
    expect(report).toMatchObject({ sessions: 1, here: 0 });
    expect(await (await browser.get("/me")).json()).toMatchObject({ user: null });
  });

  test("of a session finds one without a user, too, before its next request", async () => {
    await using site = await startSite();
    const browser = new Browser(site);
    const { client } = (await (await browser.get("/me")).json()) as { client: string };
    await browser.get("/set");
    const [session] = await site.sessions.list({ owner: `client:${client}` });
    const report = await site.clients.terminate({ session: session?.publicId ?? "" });
    expect(report).toMatchObject({ sessions: 1 });
  });

  test("of a client ends all of that browser, with a session and without, and no other", async () => {
    await using site = await startSite();
    const browser = new Browser(site);
    await browser.signIn("ada");
    const member = await browser.open(site);
    const session = browser.cookies.get("sid") ?? "";
    browser.cookies.delete("sid");
    const stranger = await browser.open(site);
    browser.cookies.set("sid", session);
    const other = await (await new Browser(site).signIn("ada")).open(site);
    const { client = "" } = member.listener;

    const report = await site.clients.terminate({ client });
    expect(report).toMatchObject({ sessions: 1, here: 2 });
    expect(await stranger.closed).toEqual(ENDED);
    expect(await member.closed).toEqual(ENDED);
    expect(await (await browser.get("/me")).json()).toEqual({ user: null, client });
    expect(other.listener.endReason).toBeUndefined();
  });

  test("of a user ends all of their browsers, but the session that is excepted", async () => {
    await using site = await startSite();
    const phone = await (await new Browser(site).signIn("ada")).open(site);
    const laptop = await (await new Browser(site).signIn("ada")).open(site);
    const other = await (await new Browser(site).signIn("grace")).open(site);
    const except = laptop.listener.session;

    expect(await site.clients.terminate({ user: "ada" }, { except })).toMatchObject({
      sessions: 1,
      here: 1,
    });
    expect(await phone.closed).toEqual(ENDED);
    expect(laptop.listener.endReason).toBeUndefined();
    expect(other.listener.endReason).toBeUndefined();
    expect(await site.clients.terminate({ user: "ada" })).toMatchObject({ sessions: 1, here: 1 });
    expect(await laptop.closed).toEqual(ENDED);
  });

  test("is repeated, or about nobody, without harm", async () => {
    await using site = await startSite();
    for (const target of [{ user: "nobody" }, { client: "none" }, { session: "none" }]) {
      expect(await site.clients.terminate(target)).toMatchObject({ sessions: 0, here: 0 });
    }
  });

  test("ends the tabs in the other process", async () => {
    await using two = await startTwo();
    const browser = await new Browser(two.here).signIn("ada");
    const tabs = [await browser.open(two.here), await browser.at(two.there).open(two.there)];
    const report = await two.here.clients.terminate({ user: "ada" });
    expect(report).toEqual({ sessions: 1, here: 1, bus: "published", bound: 600_000 });
    for (const tab of tabs) expect(await tab.closed).toEqual(ENDED);
  });

  test("of a client ends a tab without a session in the other process", async () => {
    await using two = await startTwo();
    const browser = new Browser(two.there);
    await browser.get("/");
    const tab = await browser.open(two.there);
    await two.here.clients.terminate({ client: tab.listener.client ?? "" });
    expect(await tab.closed).toEqual(ENDED);
  });

  test("writes the store first, then ends here, then tells the others", async () => {
    const order: string[] = [];
    const store: IndexedStore = memoryStore();
    const line = network()();
    const publish = line.publish;
    line.publish = async (subject, data) => {
      if (subject.endsWith(".control")) order.push("told");
      return publish(subject, data);
    };
    const watched: Store = {
      ...store,
      destroyAll: async (owner: string) => {
        const ended = await store.destroyAll(owner);
        order.push("stored");
        return ended;
      },
    } as Store;
    await using site = await startSite({ store: watched, pubsub: line });
    const tab = await (await new Browser(site).signIn("ada")).open(site);
    // The sign-in, which the browser's other tabs are to hear of.
    await until(() => expect(order.splice(0)).toEqual(["told"]));
    tab.listener.signal.addEventListener("abort", () => order.push("ended"));
    await site.clients.terminate({ user: "ada" });
    expect(order).toEqual(["stored", "ended", "told"]);
  });

  test("that the store refuses ends nothing and claims nothing", async () => {
    const store: IndexedStore = memoryStore();
    const broken = {
      ...store,
      destroyAll: () => Promise.reject(new Error("down")),
    };
    await using site = await startSite({ store: broken });
    const tab = await (await new Browser(site).signIn("ada")).open(site);
    await expect(site.clients.terminate({ user: "ada" })).rejects.toMatchObject({
      code: "ERR_SESSION_STORE_UNAVAILABLE",
    });
    expect(tab.listener.endReason).toBeUndefined();
  });

  test.each(["here", "there"] as const)(
    "while a tab is being attached in the process that is %s leaves it no way",
    async (where) => {
      // The store answers the tab's look only after the session was ended, with what was before.
      const store: IndexedStore = memoryStore();
      const line = network();
      const gate = Promise.withResolvers<void>();
      const asked = Promise.withResolvers<void>();
      let loads = -Infinity;
      const slow: Store = {
        ...store,
        load: async (key) => {
          const loaded = await store.load(key);
          // The first is the request's own.
          if (++loads === 2) {
            asked.resolve();
            await gate.promise;
          }
          return loaded;
        },
      };
      await using here = await startSite({ store: slow, pubsub: line() });
      await using there = await startSite({ store, pubsub: line() });
      const browser = await new Browser(here).signIn("ada");
      const ending = { here, there }[where];
      loads = 0;
      const tab = browser.tab();
      await asked.promise;
      await ending.clients.terminate({ user: "ada" });
      gate.resolve();
      expect(await tab.closed).toEqual(ENDED);
      await until(() => expect(here.listeners[0]?.endReason).toBe("terminated"));
    },
  );

  test("before its process hears the others leaves a tab no way", async () => {
    const store: IndexedStore = memoryStore();
    const line = network();
    const deaf = line();
    const gate = Promise.withResolvers<void>();
    const { subscribe } = deaf;
    deaf.subscribe = async (subject, handler, options) => {
      if (subject.endsWith(".control")) await gate.promise;
      return subscribe(subject, handler, options);
    };
    await using here = await startSite({ store, pubsub: line() });
    await using there = await startSite({ store, pubsub: deaf, busTimeout: 60_000 });
    const browser = await new Browser(there).signIn("ada");
    const tab = browser.tab();
    await tab.opened;
    // The tab's other subscriptions are there: it waits for nothing but this one.
    await until(() => expect(deaf.subscriptions).toBe(6));
    await here.clients.terminate({ user: "ada" });
    gate.resolve();
    expect(await tab.closed).toEqual(ENDED);
  });

  test("before a tab asks the store leaves it no way", async () => {
    const store: IndexedStore = memoryStore();
    await using site = await startSite({ store });
    const browser = await new Browser(site).signIn("ada");
    const load = store.load.bind(store);
    let loads = 0;
    store.load = async (key) => {
      // The first is the request's own; before the second, the session ends unheard.
      if (++loads === 2) await store.destroyAll("user:ada");
      return load(key);
    };
    const tab = browser.tab();
    expect(await tab.closed).toEqual(ENDED);
  });
});

describe("sessions.onEnd", () => {
  test("a sign-out over HTTP ends the tabs, here and there", async () => {
    await using two = await startTwo();
    const browser = await new Browser(two.here).signIn("ada");
    const near = await browser.open(two.here);
    const far = await browser.at(two.there).open(two.there);
    await browser.at(two.here).get("/sign-out");
    expect(await near.closed).toEqual(ENDED);
    expect(await far.closed).toEqual(ENDED);
  });

  test("sessions.destroyAll is enough", async () => {
    await using two = await startTwo();
    const tab = await (await new Browser(two.there).signIn("ada")).open(two.there);
    await two.here.sessions.destroyAll({ user: "ada" });
    expect(await tab.closed).toEqual(ENDED);
  });

  test("a renewal closes the listeners of the old id with 4403, here and there, once", async () => {
    await using two = await startTwo();
    const browser = await new Browser(two.here).signIn("ada");
    const near = await browser.open(two.here);
    const far = await browser.at(two.there).open(two.there);
    await browser.at(two.here).get("/renew");
    for (const tab of [near, far]) {
      expect(await tab.closed).toEqual({ code: 4403, reason: "renewed" });
    }
    const back = await browser.open(two.here);
    const otherBack = await browser.at(two.there).open(two.there);
    await two.here.clients.send({ user: "ada" }, "hello");
    for (const tab of [back, otherBack]) expect(await tab.next("hello")).toBeNull();
  });

  test.each(["/renew", "/sign-in?user=ada"])(
    "a tab that comes back before the response of %s has brought the new id is asked again",
    async (path) => {
      await using two = await startTwo();
      const browser = new Browser(two.here);
      await browser.get("/set");
      const before = new Map(browser.cookies);
      await browser.get(path);
      const after = new Map(browser.cookies);
      const restore = (cookies: ReadonlyMap<string, string>) => {
        browser.cookies.clear();
        for (const [name, value] of cookies) browser.cookies.set(name, value);
      };
      for (const site of [two.here, two.there]) {
        restore(before);
        const early = browser.at(site).tab();
        expect(await early.closed).toEqual({ code: 4403, reason: "renewed" });
        restore(after);
        const tab = await browser.at(site).open(site);
        expect(tab.listener.session).toBeDefined();
      }
    },
  );

  test("a sign-out waits for no bus", async () => {
    const line = network()();
    await using site = await startSite({ pubsub: line, busTimeout: 60_000 });
    const browser = await new Browser(site).signIn("ada");
    const tab = await browser.open(site);
    const { promise, resolve } = Promise.withResolvers<void>();
    line.barrier = promise;
    await browser.get("/sign-out");
    expect(await tab.closed).toEqual(ENDED);
    resolve();
  });
});

describe("C2: a terminated socket", () => {
  test("that ignores the close frame runs nothing more, and loses its connection in time", async () => {
    const heard: unknown[] = [];
    await using site = await startSite({
      live: (listener) => void listener.on("say", (data) => heard.push(data)),
    });
    const browser = await new Browser(site).signIn("ada");
    const { hostname, port } = new URL(site.url);
    const socket = connect(Number(port), hostname);
    socket.write(
      [
        "GET /live HTTP/1.1",
        `Host: ${hostname}:${port}`,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        `Cookie: ${browser.cookie}`,
        "\r\n",
      ].join("\r\n"),
    );
    const say = (text: string) => {
      const payload = Buffer.from(JSON.stringify({ event: "say", data: text }));
      // Masked with zeros.
      socket.write(
        Buffer.concat([Buffer.from([0x81, 0x80 | payload.length, 0, 0, 0, 0]), payload]),
      );
    };
    socket.on("error", () => {});
    socket.resume();
    await until(() => expect(site.listeners).toHaveLength(1));
    say("before");
    await until(() => expect(heard).toEqual(["before"]));

    await site.clients.terminate({ user: "ada" });
    const flood = setInterval(() => say("after"), 5);
    await new Promise((resolve) => socket.once("close", resolve));
    clearInterval(flood);
    expect(heard).toEqual(["before"]);
    // The closing handshake of ws alone would give it 30 seconds.
  });

  test("ends its iterators and its signal at once, and takes no new handlers", async () => {
    await using site = await startSite();
    const { listener } = await (await new Browser(site).signIn("ada")).open(site);
    const waiting = listener.events("news").next();
    const page = listener.page();
    await site.clients.terminate({ user: "ada" });
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(listener.signal.aborted).toBe(true);
    expect(page.signal.aborted).toBe(true);
    expect(await listener.ended).toBe("terminated");
    expect(await listener.events("news").next()).toEqual({ done: true, value: undefined });
    listener.on("say", () => expect.unreachable());
    listener.send("news");
    listener.disconnect();
    expect(listener.endReason).toBe("terminated");
  });
});

describe("disconnect", () => {
  test("ends one listener, here or there, and leaves the session", async () => {
    await using two = await startTwo();
    const browser = await new Browser(two.here).signIn("ada");
    const near = await browser.open(two.here);
    const far = await browser.at(two.there).open(two.there);
    const stays = await browser.open(two.there);
    const { clients } = two.here;
    expect(await clients.disconnect({ listener: near.listener.id })).toMatchObject({ here: 1 });
    expect(await clients.disconnect({ listener: far.listener.id })).toEqual({
      here: 0,
      bus: "published",
    });
    for (const tab of [near, far]) {
      expect(await tab.closed).toEqual({ code: 4401, reason: "disconnected" });
    }
    expect(stays.listener.endReason).toBeUndefined();
    expect(await (await browser.get("/me")).json()).toMatchObject({ user: "ada" });
  });
});

test("close ends all with 1012, and a later call is a typed error", async () => {
  await using site = await startSite();
  const tab = await (await new Browser(site).signIn("ada")).open(site);
  await site.clients.close();
  expect(await tab.closed).toEqual({ code: 1012, reason: "shutdown" });
  await expect(site.clients.send({ user: "ada" }, "x")).rejects.toMatchObject({
    code: "ERR_CLIENTS_CLOSED",
  });
  await site.clients.close();
});
