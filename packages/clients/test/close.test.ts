import { createClients } from "@lanai/clients";
import { createPubSub } from "@lanai/pubsub";
import { createSessions } from "@lanai/session";
import { expect, test } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "./browser.ts";
import { startSite } from "./site.ts";

const HOUR = 3_600_000;

test("while closes are spread, an open tab is sent to, terminated, and ended with its session", async () => {
  await using site = await startSite({
    live: (it) => void it.on("say", (data) => site.clients.send({ user: "bob" }, "said", data)),
  });
  const tabs = [];
  for (const user of ["ada", "bob", "cleo", "dan"]) {
    tabs.push(await (await new Browser(site).signIn(user)).open(site));
  }
  const [ada, bob, cleo, dan] = tabs;
  const closing = site.clients.close({ over: HOUR });
  ada?.socket.send(JSON.stringify({ event: "say", data: "still here" }));
  expect(await bob?.next("said")).toBe("still here");
  expect(await site.clients.terminate({ user: "cleo" })).toMatchObject({ sessions: 1, here: 1 });
  expect(cleo?.listener.endReason).toBe("terminated");
  await site.sessions.destroyAll({ user: "dan" });
  expect(dan?.listener.endReason).toBe("terminated");
  const disconnected = await site.clients.disconnect({ listener: ada?.listener.id ?? "" });
  expect(disconnected.here).toBe(1);
  const late = (await new Browser(site).signIn("eve")).tab();
  expect(await late.closed).toMatchObject({ code: 1012 });
  bob?.socket.close();
  // The last listener has ended: nothing waits for the hour.
  await closing;
  await expect(site.clients.send({ user: "bob" }, "said")).rejects.toMatchObject({
    code: "ERR_CLIENTS_CLOSED",
  });
});

test("a second close waits for the first", async () => {
  await using site = await startSite();
  const tab = await (await new Browser(site).signIn("ada")).open(site);
  const closes = [site.clients.close({ over: HOUR }), site.clients.close()];
  let settled = 0;
  for (const it of closes) void it.then(() => settled++);
  await site.clients.send({ user: "ada" }, "still");
  expect(settled).toBe(0);
  tab.listener.disconnect();
  await Promise.all(closes);
});

test("a message from another process reaches a tab whose close is still to come", async () => {
  const bus = createPubSub();
  const sessions = createSessions();
  await using site = await startSite({ sessions, pubsub: bus });
  const other = createClients({ sessions, pubsub: bus });
  const tab = await (await new Browser(site).signIn("ada")).open(site);
  const closing = site.clients.close({ over: HOUR });
  await other.send({ user: "ada" }, "news", 1);
  expect(await tab.next("news")).toBe(1);
  tab.listener.disconnect();
  await closing;
  await other.close();
  await bus.close();
});

test.each([false, true])(
  "a tab from before the sign-in reconnects with 4403, had a session: %s",
  async (hadSession) => {
    const bus = createPubSub();
    const sessions = createSessions();
    await using site = await startSite({ sessions, pubsub: bus });
    await using other = await startSite({ sessions, pubsub: bus });
    const browser = new Browser(site);
    await browser.get(hadSession ? "/set" : "/");
    const tabs = [await browser.open(site), await browser.at(other).open(other)];
    const stranger = await (async () => {
      const it = new Browser(site);
      await it.get("/");
      return it.open(site);
    })();
    await browser.get("/sign-in?user=ada");
    for (const tab of tabs) expect(await tab.closed).toMatchObject({ code: 4403 });
    expect(stranger.listener.endReason).toBeUndefined();
    const again = await browser.open(other);
    expect(again.listener.user).toBe("ada");
    await until(() => expect(site.clients.size.listeners).toBe(1));
    await bus.close();
  },
);

test("what a tab says while it is told to go is handled, and what its handlers do reaches the others", async () => {
  const goOn = Promise.withResolvers<void>();
  const bus = createPubSub();
  const sessions = createSessions();
  await using site = await startSite({
    ...{ sessions, pubsub: bus },
    live: (it) =>
      void it.on("say", async (data) => {
        await goOn.promise;
        await site.clients.send({ user: "bob" }, "said", data);
      }),
  });
  await using other = await startSite({ sessions, pubsub: bus });
  const ada = await (await new Browser(site).signIn("ada")).open(site);
  const bob = await (await new Browser(other).signIn("bob")).open(other);
  const closing = site.clients.close();
  // It hasn't read the close frame.
  ada.socket.send(JSON.stringify({ event: "say", data: "last words" }));
  expect(await ada.closed).toMatchObject({ code: 1012 });
  await until(() => expect(ada.listener.endReason).toBe("shutdown"));
  goOn.resolve();
  expect(await bob.next("said")).toBe("last words");
  await closing;
  await bus.close();
});

test("a handler that never settles delays close no longer than its timeout", async () => {
  await using site = await startSite({
    live: (it) => void it.on("say", () => new Promise(() => {})),
  });
  const ada = await (await new Browser(site).signIn("ada")).open(site);
  ada.socket.send(JSON.stringify({ event: "say" }));
  await site.clients.close({ timeout: 1 });
  await expect(site.clients.send({ user: "ada" }, "said")).rejects.toMatchObject({
    code: "ERR_CLIENTS_CLOSED",
  });
});

test("a listener that is terminated while it is told to go runs nothing more", async () => {
  const heard: unknown[] = [];
  await using site = await startSite({
    live: (it) => void it.on("say", (data) => heard.push(data)),
  });
  const tab = await (await new Browser(site).signIn("ada")).open(site);
  const closing = site.clients.close();
  await site.clients.terminate({ user: "ada" });
  expect(tab.listener.endReason).toBe("terminated");
  tab.socket.send(JSON.stringify({ event: "say", data: "too late" }));
  await closing;
  await tab.closed;
  expect(heard).toEqual([]);
});
