import { createSessions, memoryStore } from "@lanai/session";
import { describe, expect, test, vi } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "./browser.ts";
import { type Site, type SiteOptions, startSite } from "./site.ts";

const MINUTE = 60_000;

/** A site whose sessions end after 30 minutes of a clock that the test moves, and looks often. */
async function startClocked(options: SiteOptions & { absoluteTimeout?: number } = {}) {
  const { absoluteTimeout, ...rest } = options;
  let ahead = 0;
  let looks = 0;
  const store = memoryStore({ clock: () => Date.now() + ahead });
  const load = store.load.bind(store);
  store.load = (key) => {
    looks++;
    return load(key);
  };
  const sessions = createSessions({
    store,
    idleTimeout: 30 * MINUTE,
    ...(absoluteTimeout !== undefined && { absoluteTimeout }),
  });
  const site: Site = await startSite({ sessions, revalidateInterval: 100, ...rest });
  return {
    site,
    /** Two looks: one that may have begun before, and one that has not. */
    async pass(minutes: number) {
      ahead += minutes * MINUTE;
      const before = looks;
      await until(() => expect(looks).toBeGreaterThan(before + 1));
    },
    skip: (minutes: number) => {
      ahead += minutes * MINUTE;
    },
    [Symbol.asyncDispose]: () => site[Symbol.asyncDispose](),
  };
}

const ENDED = { code: 4401, reason: "terminated" };

describe("an open listener", () => {
  test("keeps its session from idling out", async () => {
    await using clocked = await startClocked();
    const { site, pass } = clocked;
    const browser = await new Browser(site).signIn("ada");
    const tab = await browser.open(site);
    for (let i = 0; i < 4; i++) await pass(20);
    expect(tab.listener.endReason).toBeUndefined();
    expect(await (await browser.get("/me")).json()).toMatchObject({ user: "ada" });
  });

  test("ends with its session's absolute timeout", async () => {
    await using clocked = await startClocked({ absoluteTimeout: 60 * MINUTE });
    const { site, pass, skip } = clocked;
    const tab = await (await new Browser(site).signIn("ada")).open(site);
    for (let i = 0; i < 2; i++) await pass(20);
    expect(tab.listener.endReason).toBeUndefined();
    skip(21);
    expect(await tab.closed).toEqual(ENDED);
  });

  test("under idle: messages ends when its browser has said nothing, whatever it is sent", async () => {
    await using clocked = await startClocked({ attach: { idle: "messages" } });
    const { site, pass, skip } = clocked;
    const tab = await (await new Browser(site).signIn("ada")).open(site);
    await pass(20);
    tab.listener.send("tick");
    tab.socket.ping();
    await tab.next("tick");
    expect(tab.listener.endReason).toBeUndefined();
    skip(11);
    expect(await tab.closed).toEqual(ENDED);
  });

  test("under idle: messages lives as long as its browser says something", async () => {
    await using clocked = await startClocked({
      attach: { idle: "messages" },
      live: (listener) => void listener.on("say", () => listener.send("heard")),
    });
    const { site, pass, skip } = clocked;
    const tab = await (await new Browser(site).signIn("ada")).open(site);
    for (let i = 0; i < 4; i++) {
      tab.say("say");
      await tab.next("heard");
      // What was said counts from the next look on.
      await pass(0);
      await pass(20);
    }
    expect(tab.listener.endReason).toBeUndefined();
    skip(11);
    expect(await tab.closed).toEqual(ENDED);
  });

  test("without a session asks the store nothing", async () => {
    const store = memoryStore();
    const loaded = vi.spyOn(store, "load");
    await using site = await startSite({ store, revalidateInterval: 100 });
    const browser = new Browser(site);
    await browser.get("/");
    await browser.open(site);
    const member = await (await new Browser(site).signIn("ada")).open(site);
    loaded.mockClear();
    await until(() => expect(loaded.mock.calls.length).toBeGreaterThan(1));
    expect(new Set(loaded.mock.calls.map(([key]) => key)).size).toBe(1);
    expect(member.listener.endReason).toBeUndefined();
  });
});

describe("a session that would end long before the next look", () => {
  /** Of one that nobody uses, in milliseconds of real time. */
  const idleTimeout = 3_000;

  async function startSoon(options: SiteOptions = {}) {
    const store = memoryStore();
    const load = vi.spyOn(store, "load");
    const sessions = createSessions({ store, idleTimeout });
    const site = await startSite({ sessions, revalidateInterval: 600_000, ...options });
    const tab = await (await new Browser(site).signIn("ada")).open(site);
    return {
      ...{ site, tab },
      /** The next look, or that there is none. */
      async looked() {
        load.mockClear();
        await until(() => expect(load).toHaveBeenCalled());
      },
      [Symbol.asyncDispose]: () => site[Symbol.asyncDispose](),
    };
  }

  test("is kept by its open listener all the same", async () => {
    await using soon = await startSoon();
    const from = performance.now();
    while (performance.now() - from < 1.5 * idleTimeout) await soon.looked();
    expect(soon.tab.listener.endReason).toBeUndefined();
    expect(await soon.site.sessions.list({ user: "ada" })).toHaveLength(1);
  });

  test("is kept by messages under idle: messages, and ends with them, on time", async () => {
    await using soon = await startSoon({
      attach: { idle: "messages" },
      live: (listener) => void listener.on("say", () => listener.send("heard")),
    });
    const { site, tab, looked } = soon;
    const from = performance.now();
    const saying = setInterval(() => tab.say("say"), 20);
    while (performance.now() - from < 1.5 * idleTimeout) await looked();
    clearInterval(saying);
    await tab.next("heard");
    expect(await site.sessions.list({ user: "ada" })).toHaveLength(1);
    const last = performance.now();
    expect(await tab.closed).toEqual(ENDED);
    // Long before the next look.
    expect(performance.now() - last).toBeLessThan(60_000);
  });
});

test("a session that another program ended in the store ends its tabs at the next look", async () => {
  const store = memoryStore();
  await using site = await startSite({ store, revalidateInterval: 200 });
  const tab = await (await new Browser(site).signIn("ada")).open(site);
  store.destroyAll("user:ada");
  expect(await tab.closed).toEqual({ code: 4401, reason: "terminated" });
});

test("looking costs one load per session in an interval, however many tabs it has", async () => {
  const store = memoryStore();
  let loads = 0;
  const load = store.load.bind(store);
  store.load = (key) => {
    loads++;
    return load(key);
  };
  await using site = await startSite({ store, revalidateInterval: 400 });
  const browser = await new Browser(site).signIn("ada");
  for (let i = 0; i < 10; i++) await browser.open(site);
  loads = 0;
  await until(() => expect(loads).toBeGreaterThan(0));
  expect(loads).toBe(1);
});
