import type { Empty, PresentListener } from "@lanai/clients";
import { memoryStore } from "@lanai/session";
import { describe, expect, test } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "./browser.ts";
import { network } from "./net.ts";
import { type Site, type SiteOptions, startSite } from "./site.ts";

async function startMany(count: number, options: SiteOptions = {}) {
  const line = network();
  const store = memoryStore();
  const lines = Array.from({ length: count }, () => line());
  const sites: Site[] = [];
  const told: { where: number; name: string; event: PresentListener | Empty }[] = [];
  for (const [where, pubsub] of lines.entries()) {
    const site = await startSite({ store, pubsub, leaveGrace: 50, busTimeout: 50, ...options });
    sites.push(site);
    for (const name of ["join", "leave", "empty"] as const) {
      site.clients.on(name, (event) => told.push({ where, name, event }));
    }
  }
  return {
    ...{ sites, lines, told },
    names: () => told.map(({ where, name }) => `${where}:${name}`),
    async [Symbol.asyncDispose]() {
      for (const site of sites) await site[Symbol.asyncDispose]();
    },
  };
}

const NOBODY = { listeners: 0, sessions: 0, clients: 0, exact: true };

describe("presence", () => {
  test("counts the listeners of all processes", async () => {
    await using many = await startMany(3);
    const [first, second, third] = many.sites as [Site, Site, Site];
    const browser = await new Browser(first).signIn("ada");
    await browser.open(first);
    const { listener } = await browser.at(second).open(second);
    const phone = await (await new Browser(second).signIn("ada")).open(second);
    for (const { clients } of many.sites) {
      await until(() =>
        expect(clients.presence({ user: "ada" })).toEqual({
          listeners: 3,
          sessions: 2,
          clients: 2,
          exact: true,
        }),
      );
    }
    const { client = "", session = "" } = listener;
    expect(third.clients.presence({ client })).toMatchObject({ listeners: 2, clients: 1 });
    expect(third.clients.presence({ session })).toMatchObject({ listeners: 2, sessions: 1 });
    phone.socket.close();
    await until(() =>
      expect(third.clients.presence({ user: "ada" })).toMatchObject({ listeners: 2 }),
    );
    expect(third.clients.presence({ user: "grace" })).toEqual(NOBODY);
  });

  test("a process that comes later learns who is there", async () => {
    await using many = await startMany(1);
    const [first] = many.sites as [Site];
    await (await new Browser(first).signIn("ada")).open(first);
    const late = many.lines[0] as (typeof many.lines)[number];
    await using second = await startSite({ pubsub: late });
    await until(() =>
      expect(second.clients.presence({ user: "ada" })).toMatchObject({ listeners: 1 }),
    );
  });

  test("more than one note holds is told in parts", async () => {
    await using many = await startMany(1);
    const [first] = many.sites as [Site];
    const users = 6;
    for (let u = 0; u < users; u++) {
      const browser = await new Browser(first).signIn(`user-${u}`);
      await Promise.all(Array.from({ length: 20 }, () => browser.tab().opened));
    }
    const browser = new Browser(first);
    await browser.get("/");
    await Promise.all(Array.from({ length: 100 }, () => browser.tab().opened));
    await until(() => expect(first.clients.size.listeners).toBe(users * 20 + 100));
    await using second = await startSite({ pubsub: many.lines[0] as never });
    await until(() => expect(second.clients.size.present).toBe(users * 20 + 100));
  });
});

describe("join, leave and empty", () => {
  test("are told by the process that has the listener, and empty once nobody came back", async () => {
    await using many = await startMany(2);
    const [, second] = many.sites as [Site, Site];
    const browser = await new Browser(second).signIn("ada");
    const tabs = [await browser.open(second), await browser.open(second)];
    for (const tab of tabs) tab.socket.close();
    await until(() => expect(many.names()).toHaveLength(6));
    expect(many.names()).toEqual([
      ...["1:join", "1:join", "1:leave", "1:leave"],
      ...["1:empty", "1:empty"],
    ]);
    const { client } = tabs[0]?.listener ?? {};
    const empties = many.told.slice(4).map(({ event }) => event as Empty);
    expect(empties).toEqual([
      { client, id: expect.any(String) },
      { user: "ada", id: expect.any(String) },
    ]);
    expect(new Set(empties.map((it) => it.id)).size).toBe(2);
  });

  test("a reload is no emptiness", async () => {
    await using many = await startMany(1, { leaveGrace: 200 });
    const [site] = many.sites as [Site];
    const browser = await new Browser(site).signIn("ada");
    for (let i = 0; i < 3; i++) {
      const tab = await browser.open(site);
      tab.socket.close();
      await tab.listener.ended;
    }
    const last = await browser.open(site);
    // Another's emptiness, which began after, is told; so that one would have been.
    const other = await (await new Browser(site).signIn("grace")).open(site);
    other.socket.close();
    await until(() => expect(many.names()).toContain("0:empty"));
    const emptyOf = (user: string) =>
      many.told.filter(
        ({ name, event }) => name === "empty" && "user" in event && event.user === user,
      );
    await until(() => expect(emptyOf("grace")).toHaveLength(1));
    expect(emptyOf("ada")).toEqual([]);
    last.socket.close();
    await until(() => expect(emptyOf("ada")).toHaveLength(1));
  });

  test("a tab that moves to another process is no emptiness", async () => {
    await using many = await startMany(2);
    const [first, second] = many.sites as [Site, Site];
    const browser = await new Browser(first).signIn("ada");
    const before = await browser.open(first);
    const after = await browser.at(second).open(second);
    before.socket.close();
    await before.listener.ended;
    await until(() =>
      expect(second.clients.presence({ user: "ada" })).toMatchObject({ listeners: 1 }),
    );
    after.socket.close();
    await until(() => expect(many.names()).toContain("1:empty"));
    expect(many.names().filter((it) => it.includes("empty"))).toEqual(["1:empty", "1:empty"]);
  });

  test("of two that go at once in two processes, each of which takes the other for the last, it is told", async () => {
    await using many = await startMany(2, { presenceInterval: 200, busTimeout: 5_000 });
    const [first, second] = many.sites as [Site, Site];
    const browser = await new Browser(first).signIn("ada");
    const near = await browser.open(first);
    const far = await browser.at(second).open(second);
    for (const { clients } of many.sites) {
      await until(() => expect(clients.presence({ user: "ada" }).listeners).toBe(2));
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const line of many.lines) line.barrier = promise;
    near.listener.disconnect();
    far.listener.disconnect();
    resolve();
    await until(() => expect(many.names().filter((it) => it.includes("empty"))).toHaveLength(2));
    for (const { clients } of many.sites) {
      await until(() => expect(clients.size).toEqual({ listeners: 0, present: 0, other: 0 }));
    }
    expect(many.names().filter((it) => it.includes("empty"))).toHaveLength(2);
  });

  test("a handler that fails harms no other", async () => {
    await using many = await startMany(1);
    const [site] = many.sites as [Site];
    const told: string[] = [];
    site.clients.on("join", () => {
      throw new Error("handler");
    });
    site.clients.on("join", ({ user }) => told.push(user ?? ""));
    const stop = site.clients.on("join", () => told.push("stopped"));
    stop();
    await (await new Browser(site).signIn("ada")).open(site);
    expect(told).toEqual(["ada"]);
  });
});

describe("a process that is lost", () => {
  const quick = { presenceInterval: 100 };

  test("is forgotten after three intervals, and one of the others tells what it can't", async () => {
    await using many = await startMany(3, quick);
    const [first, second, third] = many.sites as [Site, Site, Site];
    const browser = await new Browser(third).signIn("ada");
    await browser.open(third);
    for (const { clients } of [first, second]) {
      await until(() => expect(clients.presence({ user: "ada" }).listeners).toBe(1));
    }
    (many.lines[2] as (typeof many.lines)[number]).state = "cut";
    for (const { clients } of [first, second]) {
      await until(() => expect(clients.presence({ user: "ada" })).toEqual(NOBODY));
    }
    await until(() => expect(many.names().filter((it) => /^[01]/.test(it))).toHaveLength(3));
    const names = many.names().filter((it) => /^[01]/.test(it));
    expect(names.map((it) => it.slice(2))).toEqual(["leave", "empty", "empty"]);
    expect(new Set(names.map((it) => it[0])).size).toBe(1);
  });

  test("and comes back is known again", async () => {
    await using many = await startMany(2, quick);
    const [first, second] = many.sites as [Site, Site];
    await (await new Browser(second).signIn("ada")).open(second);
    const line = many.lines[1] as (typeof many.lines)[number];
    await until(() => expect(first.clients.size.present).toBe(1));
    line.state = "cut";
    await until(() => expect(first.clients.size.present).toBe(0));
    const grace = await (await new Browser(second).signIn("grace")).open(second);
    line.heal();
    await until(() => expect(first.clients.size.present).toBe(2));
    grace.socket.close();
    await until(() => expect(first.clients.size.present).toBe(1));
  });

  test("with a goodbye is forgotten at once", async () => {
    await using many = await startMany(2);
    const [first, second] = many.sites as [Site, Site];
    await (await new Browser(second).signIn("ada")).open(second);
    await until(() => expect(first.clients.size.present).toBe(1));
    await second.clients.close();
    await until(() => expect(first.clients.size.present).toBe(0));
  });
});

test("what one process missed is asked for again", async () => {
  await using many = await startMany(2, { presenceInterval: 100 });
  const [first, second] = many.sites as [Site, Site];
  const [line] = many.lines as [(typeof many.lines)[number]];
  const ada = await (await new Browser(second).signIn("ada")).open(second);
  await until(() => expect(first.clients.size.present).toBe(1));
  // The first process hears nothing, and nobody tells it that it doesn't.
  line.state = "mute";
  ada.socket.close();
  await (await new Browser(second).signIn("grace")).open(second);
  line.state = "up";
  await until(() => {
    expect(first.clients.presence({ user: "ada" })).toEqual(NOBODY);
    expect(first.clients.presence({ user: "grace" }).listeners).toBe(1);
  });
});
