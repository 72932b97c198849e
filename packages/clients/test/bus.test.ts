import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { type IndexedStore, memoryStore, type Store } from "@lanai/session";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "./browser.ts";
import { type Line, network } from "./net.ts";
import { type SiteOptions, startSite } from "./site.ts";

const QUICK = { busTimeout: 50, revalidateInterval: 200 };
/** What may come on top on a machine that is busy, in milliseconds. */

async function startTwo(options: SiteOptions = {}) {
  const line = network();
  const store = memoryStore();
  const lines = { here: line(), there: line() };
  const here = await startSite({ store, pubsub: lines.here, ...QUICK, ...options });
  const there = await startSite({ store, pubsub: lines.there, ...QUICK, ...options });
  return {
    ...{ here, there, store, lines },
    async [Symbol.asyncDispose]() {
      for (const it of Object.values(lines)) it.state = "cut";
      await here[Symbol.asyncDispose]();
      await there[Symbol.asyncDispose]();
    },
  };
}

const cut = (lines: Record<string, Line>, state: Line["state"] = "cut") => {
  for (const line of Object.values(lines)) line.state = state;
};
const heal = (lines: Record<string, Line>) => {
  for (const line of Object.values(lines)) line.heal();
};

describe.each(["cut", "mute"] as const)("C3: with the bus %s", (state) => {
  test("tabs are attached, reached and ended here, and the reports say so", async () => {
    await using two = await startTwo();
    const { here, lines } = two;
    const browser = await new Browser(here).signIn("ada");
    cut(lines, state);
    const tab = await browser.open(here);
    expect(await here.clients.send({ user: "ada" }, "notice", 1)).toEqual({ here: 1, bus: "down" });
    expect(await tab.next("notice")).toBe(1);
    expect(here.clients.presence({ user: "ada" })).toMatchObject({ listeners: 1, exact: false });
    expect(await here.clients.terminate({ user: "ada" })).toEqual({
      sessions: 1,
      here: 1,
      bus: "queued",
      bound: 200,
    });
    expect(await tab.closed).toEqual({ code: 4401, reason: "terminated" });
  });

  test("listeners elsewhere end within the bound that was reported", async () => {
    await using two = await startTwo();
    const { here, there, lines } = two;
    const tab = await (await new Browser(there).signIn("ada")).open(there);
    cut(lines, state);
    // Nothing else than the check at each `revalidateInterval` can end it while the bus is down.
    expect(await here.clients.terminate({ user: "ada" })).toMatchObject({ bound: 200 });
    expect((await tab.closed).code).toBe(4401);
  });

  test("one without a session, of which the store knows nothing, ends within the bound and comes back; one whose session lives stays", async () => {
    await using two = await startTwo();
    const { here, there, lines } = two;
    const member = await (await new Browser(there).signIn("grace")).open(there);
    const browser = new Browser(there);
    await browser.get("/");
    let stranger = await browser.open(there);
    cut(lines, state);
    const { client = "" } = stranger.listener;
    // The second time it came while the bus was away already.
    for (let i = 0; i < 2; i++) {
      expect(await here.clients.terminate({ client })).toMatchObject({ bound: 200 });
      expect(await stranger.closed).toEqual({ code: 1013, reason: "unavailable" });
      stranger = await browser.open(there);
    }
    expect(member.listener.endReason).toBeUndefined();
  });

  test("they end at once when it is back, and what waited is told", async () => {
    await using two = await startTwo({ revalidateInterval: 60_000 });
    const { here, there, lines } = two;
    const browser = new Browser(there);
    await browser.get("/");
    const stranger = await browser.open(there);
    const member = await (await new Browser(there).signIn("ada")).open(there);
    cut(lines, state);
    await here.clients.terminate({ user: "ada" });
    await here.clients.terminate({ client: stranger.listener.client ?? "" });
    expect(member.listener.endReason).toBeUndefined();
    heal(lines);
    expect((await member.closed).code).toBe(4401);
    expect((await stranger.closed).code).toBe(4401);
    await until(() => expect(here.clients.size).toMatchObject({ listeners: 0, present: 0 }));
  });

  test("what is attached meanwhile hears the others once it is back", async () => {
    await using two = await startTwo();
    const { here, there, lines } = two;
    cut(lines, state);
    const tab = await (await new Browser(there).signIn("ada")).open(there);
    heal(lines);
    await until(async () => {
      await here.clients.send({ user: "ada" }, "hello");
      expect(tab.all("hello").length).toBeGreaterThan(0);
    });
    await until(() =>
      expect(here.clients.presence({ user: "ada" })).toMatchObject({ listeners: 1, exact: true }),
    );
  });
});

test("C3: what was told while a process couldn't hear is found in the store, once it can again", async () => {
  await using two = await startTwo({ revalidateInterval: 60_000 });
  const { here, there, lines } = two;
  const tab = await (await new Browser(there).signIn("ada")).open(there);
  lines.there.state = "mute";
  expect(await here.clients.terminate({ user: "ada" })).toMatchObject({ bus: "published" });
  expect(tab.listener.endReason).toBeUndefined();
  lines.there.heal();
  expect((await tab.closed).code).toBe(4401);
});

test("C3: what was told of a tab without a session is found nowhere: it is asked to come back", async () => {
  await using two = await startTwo();
  const { here, there, lines } = two;
  const browser = new Browser(there);
  await browser.get("/");
  const { listener, closed } = await browser.open(there);
  lines.there.state = "mute";
  const { client = "" } = listener;
  expect(await here.clients.terminate({ client })).toMatchObject({ bus: "published" });
  lines.there.heal();
  expect(await closed).toEqual({ code: 1013, reason: "unavailable" });
});

test("C3: while a process hears itself, a tab without a session stays", async () => {
  await using two = await startTwo();
  const { there, lines } = two;
  const browser = new Browser(there);
  await browser.get("/");
  const tab = await browser.open(there);
  const asked = vi.spyOn(lines.there, "publish");
  await until(() => expect(asked.mock.calls.length).toBeGreaterThan(8));
  expect(tab.listener.endReason).toBeUndefined();
});

test("C3: a look that was under way when a tab came doesn't vouch for it", async () => {
  const store: IndexedStore = memoryStore();
  const line = network()();
  const load = store.load.bind(store);
  const gate = Promise.withResolvers<void>();
  let asked: PromiseWithResolvers<void> | undefined;
  const slow: Store = {
    ...store,
    load: async (key) => {
      const loaded = await load(key);
      if (asked === undefined) return loaded;
      asked.resolve();
      asked = undefined;
      await gate.promise;
      return loaded;
    },
  };
  let tabs = 0;
  await using site = await startSite({
    store: slow,
    pubsub: line,
    attach: {
      async connect(ctx) {
        const socket = await ctx.upgrade();
        if (++tabs === 2) {
          // The first tab's session is looked at, and found alive; then it is ended, unheard.
          const look = Promise.withResolvers<void>();
          asked = look;
          line.heal();
          await look.promise;
          await store.destroyAll("user:ada");
          setTimeout(gate.resolve, 20);
        }
        return { end: (reason, code) => socket.close(code, reason) };
      },
    },
  });
  const browser = await new Browser(site).signIn("ada");
  await browser.open(site);
  expect((await browser.tab().closed).code).toBe(4401);
});

test("C3: a process that starts while the bus is away works, and hears it when it is there", async () => {
  const line = network();
  const store = memoryStore();
  const [one, two] = [line(), line()];
  two.state = "cut";
  await using here = await startSite({ store, pubsub: one, ...QUICK });
  await using there = await startSite({ store, pubsub: two, ...QUICK, revalidateInterval: 60_000 });
  const tab = await (await new Browser(there).signIn("ada")).open(there);
  two.heal();
  await until(() => expect(two.subscriptions).toBe(6 + 1));
  await here.clients.terminate({ user: "ada" });
  expect((await tab.closed).code).toBe(4401);
});

test("C3: an event tells once that the bus is away, and once that it is back", async () => {
  const events: unknown[] = [];
  const listen = (event: unknown) => events.push((event as { reason: string }).reason);
  subscribe("lanai:clients:bus", listen);
  onTestFinished(() => void unsubscribe("lanai:clients:bus", listen));
  await using two = await startTwo();
  const { here, lines } = two;
  lines.here.state = "cut";
  for (let i = 0; i < 3; i++) await here.clients.send({ user: "ada" }, "x");
  expect(events).toEqual(["down"]);
  lines.here.heal();
  for (let i = 0; i < 3; i++) await here.clients.send({ user: "ada" }, "x");
  expect(events).toEqual(["down", "up"]);
});

describe("with the store down", () => {
  const flaky = () => {
    const store = memoryStore();
    const load = store.load.bind(store);
    const state = { down: false };
    store.load = (key) => {
      if (state.down) throw new Error("down");
      return load(key);
    };
    return { store, state };
  };

  test("a WebSocket is refused with 503 before the 101", async () => {
    const { store, state } = flaky();
    await using site = await startSite({ store });
    const browser = await new Browser(site).signIn("ada");
    state.down = true;
    expect(await browser.tab().refused).toMatchObject({ status: 503 });
  });

  test("one whose session can't be looked at after the 101 is closed with 1013", async () => {
    const { store, state } = flaky();
    await using site = await startSite({
      store,
      attach: {
        async connect(ctx) {
          const socket = await ctx.upgrade();
          state.down = true;
          return { end: (reason, code) => socket.close(code, reason) };
        },
      },
    });
    const browser = await new Browser(site).signIn("ada");
    expect(await browser.tab().closed).toEqual({ code: 1013, reason: "unavailable" });
  });

  test("what is attached stays for staleLimit, and ends with 1013 then", async () => {
    const { store, state } = flaky();
    await using site = await startSite({ store, revalidateInterval: 100, staleLimit: 300 });
    const tab = await (await new Browser(site).signIn("ada")).open(site);
    state.down = true;
    const at = performance.now();
    expect(await tab.closed).toEqual({ code: 1013, reason: "unavailable" });
    expect(performance.now() - at).toBeGreaterThan(290);
  });

  test("what is attached stays when the store is back in time", async () => {
    const { store, state } = flaky();
    let loads = 0;
    const load = store.load;
    store.load = (key) => {
      loads++;
      return load(key);
    };
    await using site = await startSite({ store, revalidateInterval: 100, staleLimit: 60_000 });
    const tab = await (await new Browser(site).signIn("ada")).open(site);
    state.down = true;
    const before = loads;
    await until(() => expect(loads).toBeGreaterThan(before));
    state.down = false;
    const then = loads;
    await until(() => expect(loads).toBeGreaterThan(then + 1));
    expect(tab.listener.endReason).toBeUndefined();
  });
});
