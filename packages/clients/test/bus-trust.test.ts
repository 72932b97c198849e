import { createPubSub, type Message } from "@lanai/pubsub";
import { libraryPubSub } from "@lanai/pubsub/backend";
import { createSessions } from "@lanai/session";
import { describe, expect, test } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "./browser.ts";
import { type Site, startSite } from "./site.ts";

/** A process whose clients share a bus with the app, and with whoever may write to it. */
async function start(options: { readonly keys?: readonly string[] } = {}) {
  const bus = createPubSub();
  const sessions = createSessions();
  const site = await startSite({ sessions, pubsub: bus, ...options });
  const tab = await (await new Browser(site).signIn("ada")).open(site);
  return {
    ...{ bus, site, tab },
    async [Symbol.asyncDispose]() {
      await site[Symbol.asyncDispose]();
      await bus.close();
    },
  };
}

/** Sees what one process publishes inside the library, and can publish it as another. */
async function overhear({ clients }: Site, bus: ReturnType<typeof createPubSub>) {
  const subjects: { subject: string; data: Message["data"] }[] = [];
  const { backend } = bus;
  const publish = backend.publish.bind(backend);
  backend.publish = async (subject, data, options) => {
    subjects.push({ subject: subject.replace("$lanai.clients.", ""), data });
    await publish(subject, data, options);
  };
  await clients.send({ user: "ada" }, "known", 1);
  return subjects[0]?.subject ?? "";
}

describe("C9: an app", () => {
  test("can't publish to the subjects of clients, whatever text of a user it puts into a subject", async () => {
    await using it = await start();
    for (const subject of ["$lanai.clients.app.control", "$lanai.clients.app.to.x"]) {
      await expect(it.bus.publish(subject, {})).rejects.toMatchObject({
        code: "ERR_PUBSUB_SUBJECT",
      });
      await expect(it.bus.subscribe(subject, () => {})).rejects.toMatchObject({
        code: "ERR_PUBSUB_SUBJECT",
      });
    }
    // The subjects of a version before, under the app's own prefix, are an app's like any other.
    const note = { v: 1, node: "x", listeners: [it.tab.listener.id], ended: ["x"] };
    await it.bus.publish("lanai.clients.control", note);
    await it.bus.publish("app.control", note);
    await it.site.clients.send({ user: "ada" }, "news", 1);
    await it.tab.next("news");
    expect(it.tab.listener.endReason).toBeUndefined();
  });

  test("hears nothing of them by a wildcard", async () => {
    await using it = await start();
    const heard: string[] = [];
    await it.bus.raw.subscribe(">", (_data, { subject }) => heard.push(subject));
    await it.site.clients.send({ user: "ada" }, "news", 1);
    await it.bus.publish("mine", 1);
    await until(() => expect(heard).toEqual(["mine"]));
  });
});

describe("C9: of what another process sends", () => {
  const note = (content: object) => JSON.stringify({ v: 1, node: "other", ...content });

  test("a redirect passes the same checks as a local one, and the names of the library's own messages are refused", async () => {
    await using it = await start();
    const library = libraryPubSub(it.bus, "clients");
    const subject = await overhear(it.site, it.bus);
    const redirect = (location: unknown) =>
      library.publish(subject, note({ event: "redirect", json: JSON.stringify({ location }) }));
    for (const location of ["javascript:alert(1)", "//evil.example", "/a\nb", 7, undefined]) {
      await redirect(location);
    }
    await library.publish(subject, note({ event: "session", json: '{"token":"stolen"}' }));
    await library.publish(subject, note({ event: "broken", json: '"}' }));
    await library.publish(subject, note({ event: "x\n", json: "1" }));
    await redirect("/safe");
    expect(await it.tab.next("redirect")).toEqual({ location: "/safe" });
    expect(it.tab.messages.map(({ event }) => event)).toEqual(["known"]);
  });

  test("with keys nothing counts that isn't signed", async () => {
    await using it = await start({ keys: ["k".repeat(32)] });
    const library = libraryPubSub(it.bus, "clients");
    const subject = await overhear(it.site, it.bus);
    await library.publish(subject, note({ event: "forged", json: "1" }));
    await library.publish("app.control", note({ listeners: [it.tab.listener.id] }));
    await it.site.clients.send({ user: "ada" }, "end");
    await it.tab.next("end");
    expect(it.tab.messages.map(({ event }) => event)).toEqual(["known"]);
    expect(it.tab.listener.endReason).toBeUndefined();
  });

  test("two processes with the same keys reach each other", async () => {
    const bus = createPubSub();
    const sessions = createSessions();
    const options = { sessions, pubsub: bus, keys: ["k".repeat(32)] };
    await using here = await startSite(options);
    await using there = await startSite(options);
    const browser = await new Browser(here).signIn("ada");
    const tab = await browser.open(here);
    expect(await there.clients.send({ user: "ada" }, "news", 1)).toEqual({
      here: 0,
      bus: "published",
    });
    expect(await tab.next("news")).toBe(1);
    await until(() => expect(there.clients.presence({ user: "ada" }).listeners).toBe(1));
    await there.clients.disconnect({ listener: tab.listener.id });
    await tab.closed;
    await bus.close();
  });
});

test("an app can't send an event named session, which carries the tokens of tabs", async () => {
  await using it = await start();
  await expect(it.site.clients.send({ user: "ada" }, "session", 1)).rejects.toThrow(TypeError);
  expect(() => it.tab.listener.send("session", 1)).toThrow(TypeError);
});

test("a redirect that clients.send carries is checked too", async () => {
  await using it = await start();
  const send = (location: string) =>
    it.site.clients.send({ user: "ada" }, "redirect", { location });
  await expect(send("javascript:alert(1)")).rejects.toThrow(/a redirect's location/);
  await send("/safe");
  expect(await it.tab.next("redirect")).toEqual({ location: "/safe" });
  const longest = `/${"x".repeat(8_191)}`;
  await expect(send(`${longest}x`)).rejects.toThrow(/a redirect's location/);
  await send(longest);
  expect(await it.tab.next("redirect")).toEqual({ location: longest });
});
