import type { Listener } from "@lanai/clients";
import { createPubSub } from "@lanai/pubsub";
import { describe, expect, test } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "./browser.ts";
import { type Site, startSite } from "./site.ts";

async function openOne(site: Site) {
  return (await new Browser(site).signIn("ada")).open(site);
}

describe("listener.events", () => {
  test("yields what is sent under one name, to all who iterate, and each has its own copy", async () => {
    await using site = await startSite();
    const { listener } = await openOne(site);
    const [one, two] = [listener.events<{ n: number }>("news"), listener.events("news")];
    const other = listener.events("other").next();
    await site.clients.send({ user: "ada" }, "news", { n: 1 });
    const first = await one.next();
    expect(first).toEqual({ done: false, value: { n: 1 } });
    first.value.n = 2;
    expect(await two.next()).toEqual({ done: false, value: { n: 1 } });
    listener.disconnect();
    expect(await other).toEqual({ done: true, value: undefined });
  });

  test("closing one leaves the others of that name (AS6)", async () => {
    await using site = await startSite();
    const { listener } = await openOne(site);
    const [one, two] = [listener.events("news"), listener.events("news")];
    const waiting = one.next();
    await one.return?.();
    expect(await waiting).toEqual({ done: true, value: undefined });
    await site.clients.send({ user: "ada" }, "news", 1);
    expect(await two.next()).toEqual({ done: false, value: 1 });
    expect(await one.next()).toEqual({ done: true, value: undefined });
  });

  test("works in a for await, which leaves nothing behind", async () => {
    await using site = await startSite();
    const { listener } = await openOne(site);
    for (let i = 0; i < 3; i++) listener.send("n", i);
    const events = listener.events<number>("n");
    for (let i = 0; i < 3; i++) listener.send("n", i);
    const got: number[] = [];
    for await (const n of events) {
      got.push(n);
      if (n === 2) break;
    }
    expect(got).toEqual([0, 1, 2]);
  });
});

describe("listener.page", () => {
  test("ends what a page subscribed when the next page comes, and leaves the socket", async () => {
    await using site = await startSite();
    const { listener, ...tab } = await openOne(site);
    const bus = createPubSub();
    const heard: unknown[] = [];
    const first = listener.page();
    await bus.subscribe("chat.*", (data) => heard.push(["first", data]), { signal: first.signal });
    const second = listener.page();
    await bus.subscribe("chat.*", (data) => heard.push(["second", data]), {
      signal: second.signal,
    });
    expect(first.signal.aborted).toBe(true);
    await bus.publish("chat.general", 1);
    expect(heard).toEqual([["second", 1]]);
    second.end();
    await bus.publish("chat.general", 2);
    expect(heard).toHaveLength(1);
    listener.send("still");
    await until(() => expect(tab.messages).toContainEqual({ event: "still", data: null }));
    await bus.close();
  });

  test("ends with the listener", async () => {
    await using site = await startSite();
    const tab = await openOne(site);
    const page = tab.listener.page();
    tab.socket.close();
    await tab.listener.ended;
    expect(page.signal.aborted).toBe(true);
    expect(tab.listener.page().signal.aborted).toBe(true);
  });
});

test("what a handler subscribed through ctx ends when the tab is closed", async () => {
  const bus = createPubSub();
  let subscription: { readonly status: string } | undefined;
  await using site = await startSite({
    live: async (listener, ctx) => {
      await bus.middleware()(ctx, async () => {});
      subscription = await ctx.pubsub.subscribe("news", (data) => listener.send("news", data));
    },
  });
  const tab = await openOne(site);
  await until(() => expect(subscription?.status).toBe("live"));
  await bus.publish("news", 1);
  expect(await tab.next("news")).toBe(1);
  tab.socket.close();
  await until(() => expect(subscription?.status).toBe("closed"));
  await bus.close();
});

describe("listener.redirect", () => {
  test.each(["/home", "/a?b=c#d", "https://example.com/", "http://localhost:1/x"])(
    "pushes %s",
    async (location) => {
      await using site = await startSite();
      const tab = await openOne(site);
      tab.listener.redirect(location);
      expect(await tab.next("redirect")).toEqual({ location });
    },
  );

  test.each([
    "javascript:alert(1)",
    "//evil.example",
    "/\\evil.example",
    "data:text/html,x",
    "",
    "home",
    "/a\nb",
  ])("refuses %j", async (location) => {
    await using site = await startSite();
    const { listener } = await openOne(site);
    expect(() => listener.redirect(location)).toThrow(TypeError);
  });

  test("is what a handler of a message answers with", async () => {
    await using site = await startSite({
      live: (listener: Listener) =>
        void listener.on("save", async () => {
          await Promise.resolve();
          listener.redirect("/saved");
        }),
    });
    const tab = await openOne(site);
    tab.say("save");
    expect(await tab.next("redirect")).toEqual({ location: "/saved" });
  });
});

test("a handler can be taken off, and others stay", async () => {
  const heard: string[] = [];
  await using site = await startSite({
    live: (listener) => {
      const stop = listener.on("say", () => heard.push("one"));
      listener.on("say", () => {
        heard.push("two");
        stop();
      });
    },
  });
  const tab = await openOne(site);
  tab.say("say");
  tab.say("say");
  await until(() => expect(heard).toHaveLength(3));
  expect(heard).toEqual(["one", "two", "two"]);
});
