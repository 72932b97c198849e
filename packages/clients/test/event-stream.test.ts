import { createSessions, memoryStore } from "@lanai/session";
import { EventSource } from "eventsource";
import { describe, expect, onTestFinished, test } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "./browser.ts";
import { type Site, startSite } from "./site.ts";

/** A tab with an event stream; it counts its requests and keeps their statuses. */
function openStream(site: Site, browser: Browser) {
  const statuses: number[] = [];
  const events: { type: string; data: unknown }[] = [];
  const source = new EventSource(`${site.url}/live`, {
    fetch: async (url, init) => {
      const response = await fetch(url, {
        ...init,
        headers: { ...init.headers, cookie: browser.cookie },
      });
      statuses.push(response.status);
      return response;
    },
  });
  for (const type of ["notice", "session", "redirect"]) {
    source.addEventListener(type, ({ data }) => events.push({ type, data: JSON.parse(data) }));
  }
  onTestFinished(() => source.close());
  return { source, statuses, events };
}

async function attached(site: Site, count = 1): Promise<void> {
  await until(() => expect(site.listeners).toHaveLength(count));
}

describe("an event stream", () => {
  test("is a listener, and gets what is sent to its user", async () => {
    await using site = await startSite();
    const browser = await new Browser(site).signIn("ada");
    const tab = openStream(site, browser);
    await attached(site);
    expect(site.listeners[0]).toMatchObject({ kind: "event-stream", user: "ada" });
    await site.clients.send({ user: "ada" }, "notice", { text: "line\nbreak" });
    await until(() =>
      expect(tab.events).toEqual([{ type: "notice", data: { text: "line\nbreak" } }]),
    );
  });

  test("that is terminated is told, asks once more, is answered 204, and stops", async () => {
    await using site = await startSite();
    const browser = await new Browser(site).signIn("ada");
    const tab = openStream(site, browser);
    await attached(site);
    await site.clients.terminate({ user: "ada" });
    await until(() => expect(tab.source.readyState).toBe(EventSource.CLOSED));
    expect(tab.events).toEqual([{ type: "session", data: { ended: "terminated" } }]);
    expect(tab.statuses).toEqual([200, 204]);
    expect(site.clients.size.listeners).toBe(0);
  });

  test("that should come back does, with what it was told to wait", async () => {
    await using site = await startSite();
    const browser = await new Browser(site).signIn("ada");
    const tab = openStream(site, browser);
    await attached(site);
    await browser.get("/renew");
    await attached(site, 2);
    await until(() => expect(tab.statuses).toEqual([200, 200]));
    expect(site.listeners[0]?.endReason).toBe("renewed");
    expect(site.listeners[1]?.user).toBe("ada");
  });

  test("of a browser without a client cookie is refused with 401, and stops", async () => {
    await using site = await startSite();
    const tab = openStream(site, new Browser(site));
    await until(() => expect(tab.source.readyState).toBe(EventSource.CLOSED));
    expect(tab.statuses).toEqual([401]);
  });

  test("that comes after a shutdown is asked to come back, never given up on", async () => {
    await using site = await startSite();
    const browser = await new Browser(site).signIn("ada");
    await site.clients.close();
    const response = await browser.get("/live");
    expect(response.status).toBe(200);
    expect(await response.text()).toMatch(/^retry: \d{4}$/m);
  });

  test("that comes while the store is down is never answered 503, and comes back", async () => {
    const store = memoryStore();
    const load = store.load.bind(store);
    let isDown = true;
    store.load = (key) => {
      if (isDown) throw new Error("down");
      return load(key);
    };
    // An eager session would have answered before the route.
    const sessions = createSessions({ store, load: "lazy" });
    await using site = await startSite({ sessions });
    const { headers } = await sessions.create({ userId: "ada" });
    const browser = new Browser(site);
    browser.keep(headers.cookie ?? "");
    const tab = openStream(site, browser);
    await attached(site);
    expect(await site.listeners[0]?.ended).toBe("unavailable");
    isDown = false;
    await attached(site, 2);
    expect(site.listeners[1]?.user).toBe("ada");
    await until(() => expect(tab.statuses).toEqual([200, 200]));
    expect(site.errors).toEqual([]);
  });

  test("while the store is down is answered 503 where its transport is the app's own", async () => {
    const store = memoryStore();
    store.load = () => {
      throw new Error("down");
    };
    const sessions = createSessions({ store, load: "lazy" });
    await using site = await startSite({ sessions, attach: { connect: () => ({ end() {} }) } });
    const { headers } = await sessions.create({ userId: "ada" });
    expect((await new Browser(site).get("/live", { headers })).status).toBe(503);
  });

  test.each(["maxPerSession", "maxPerClient"] as const)(
    "over the limit %s ends the oldest, which is asked to come back",
    async (limit) => {
      await using site = await startSite({ [limit]: 2 });
      const browser = await new Browser(site).signIn("ada");
      const leave = new AbortController();
      onTestFinished(() => leave.abort());
      const [oldest] = [
        await browser.get("/live", { signal: leave.signal }),
        await browser.get("/live", { signal: leave.signal }),
        await browser.get("/live", { signal: leave.signal }),
      ];
      expect(await oldest.text()).toMatch(/^retry: \d{4}$/m);
      await attached(site, 3);
      expect(site.listeners.map(({ endReason }) => endReason)).toEqual([
        "limit",
        undefined,
        undefined,
      ]);
      expect(site.clients.size.listeners).toBe(2);
    },
  );

  test("that is closed by its browser is gone", async () => {
    await using site = await startSite();
    const tab = openStream(site, await new Browser(site).signIn("ada"));
    await attached(site);
    tab.source.close();
    expect(await site.listeners[0]?.ended).toBe("left");
    expect(site.clients.size.listeners).toBe(0);
    expect(site.errors).toEqual([]);
  });
});
