import { createSessions, memoryStore, type Store } from "@lanai/session";
import { describe, expect, test } from "vitest";
import { listen, site } from "./site.ts";

describe("S21: maxSessionsPerUser", () => {
  test("ends the longest unused sessions of a user who signs in once more, and reports it", async () => {
    using heard = listen();
    await using it = await site(
      { "/in": (ctx) => ctx.session.login("ada"), "/": (ctx) => ctx.session.userId ?? "nobody" },
      { store: memoryStore(), maxSessionsPerUser: { limit: 2, overflow: "end-oldest" } },
    );
    const ended: string[] = [];
    it.sessions.onEnd(
      ({ publicId, reason }) => void (reason === "destroyed" && ended.push(publicId)),
    );
    const browsers = [it.browser(), it.browser(), it.browser()] as const;
    await browsers[0].get("/in");
    const [first] = await it.sessions.list({ user: "ada" });
    for (const browser of browsers.slice(1)) await browser.get("/in");
    expect(await it.sessions.list({ user: "ada" })).toHaveLength(2);
    expect(ended).toEqual([first?.publicId]);
    expect(heard.names().filter((name) => name === "destroyed")).toHaveLength(1);
    expect(await browsers[0].text("/")).toBe("nobody");
    expect(await browsers[2].text("/")).toBe("ada");
  });

  test("refuses the commit of one more, and keeps those there are", async () => {
    const sessions = createSessions({ maxSessionsPerUser: { limit: 1, overflow: "refuse" } });
    const { session } = await sessions.create({ userId: "ada" });
    await expect(sessions.create({ userId: "ada" })).rejects.toMatchObject({
      code: "ERR_SESSION_LIMIT",
      status: 409,
    });
    session.login("ada");
    await session.commit();
    expect(await sessions.list({ user: "ada" })).toHaveLength(1);
  });

  test("leaves other users alone, however often one signs in", async () => {
    const sessions = createSessions({ store: memoryStore({ maxSessions: 200 }) });
    const others = [];
    for (let n = 0; n < 50; n++) others.push(await sessions.create({ userId: `user ${n}` }));
    for (let n = 0; n < 300; n++) await sessions.create({ userId: "mallory" });
    expect(await sessions.list({ user: "mallory" })).toHaveLength(100);
    for (const { session } of others) expect(await sessions.open(session.id ?? "")).toBeTruthy();
  });

  test.each([
    [{ limit: 0, overflow: "refuse" }, RangeError, "an integer from 1, got 0"],
    [{ limit: 1, overflow: "oldest" }, TypeError, 'overflow must be "refuse" or "end-oldest"'],
    [{ limit: 1, overflow: "refuse", of: 2 }, TypeError, 'no option "maxSessionsPerUser.of"'],
  ])("%j is refused at construction", (maxSessionsPerUser, type, message) => {
    const make = () => createSessions({ maxSessionsPerUser: maxSessionsPerUser as never });
    expect(make).toThrow(type);
    expect(make).toThrow(message);
  });

  test("is none by default on a store that can't limit", async () => {
    const { limitsOwners: _, ...store } = memoryStore();
    const sessions = createSessions({ store });
    for (let n = 0; n < 101; n++) await sessions.create({ userId: "ada" });
    expect(await sessions.list({ user: "ada" })).toHaveLength(101);
  });

  test("is refused beside a store that can't limit", () => {
    const { load, create, commit, destroy } = memoryStore();
    const store: Store = { load, create, commit, destroy };
    const maxSessionsPerUser = { limit: 1, overflow: "refuse" } as const;
    expect(() => createSessions({ store, maxSessionsPerUser })).toThrow(
      "needs a store that limits the sessions of an owner",
    );
  });
});
