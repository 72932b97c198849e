import { createSessions, memoryStore, requireSession } from "@lanai/session";
import { type Change, SessionError } from "@lanai/session/store";
import { describe, expect, test } from "vitest";
import { damagedSessions } from "./damaged.ts";
import { keyOf, listen, site } from "./site.ts";

/** A store whose loads and commits of the keys in `damaged` fail, as after a write by somebody else. */
function damageable(loads: "at once" | "later") {
  const memory = memoryStore();
  const damaged = new Set<string>();
  const check = (key: string): void => {
    const isThere = memory.load(key).status === "live";
    if (!isThere || !damaged.has(key)) return;
    throw new SessionError("ERR_SESSION_DECODE", "not as it was written");
  };
  const store = {
    ...memory,
    load(key: string) {
      check(key);
      return loads === "at once" ? memory.load(key) : Promise.resolve(memory.load(key));
    },
    commit(key: string, change: Change) {
      check(key);
      return memory.commit(key, change);
    },
  };
  const later = {
    ...store,
    load: async (key: string) => store.load(key),
    commit: async (key: string, change: Change) => store.commit(key, change),
  };
  return { store: loads === "at once" ? store : later, damage: (key: string) => damaged.add(key) };
}

for (const when of ["at once", "later"] as const) {
  const { store, damage } = damageable(when);
  damagedSessions({ name: `a store that fails ${when}`, open: () => store, damage });
}

describe("a damaged record", () => {
  test("is an entry of Lanai's own that is read before the handler runs", async () => {
    await using it = await site({
      "/login": (ctx) => void ctx.session.login("ada"),
      "/who": (ctx) => ctx.session.userId ?? "nobody",
      "/logout": (ctx) => ctx.session.destroy(),
    });
    const browser = it.browser();
    await browser.get("/login");
    const key = keyOf(browser.cookies.get("sid") ?? "");
    it.memory.commit(key, { operation: "by hand", set: new Map([["s:behind", "!"]]) });
    expect((await browser.get("/who")).status).toBe(500);
    expect((await browser.get("/logout")).status).toBe(204);
    expect(it.memory.load(key)).toEqual({ status: "none" });
    expect(browser.cookies.size).toBe(0);
  });

  test("is reported as a token that was refused, without the record", async () => {
    const { store, damage } = damageable("at once");
    await using it = await site({ "/nothing": () => "" }, { store });
    const sessions = createSessions({ store });
    const { headers, session } = await sessions.create({ userId: "ada" });
    damage(keyOf(session.id ?? ""));
    using heard = listen();
    await fetch(`${it.url}/nothing`, { headers });
    expect(heard.events).toMatchObject([
      { name: "refused", event: { level: "warn", reason: "damaged" } },
    ]);
  });

  test("satisfies no requireSession, and is no 401", async () => {
    const { store, damage } = damageable("at once");
    const sessions = createSessions({ store });
    for (const user of [true, false]) {
      await using it = await site(
        { "/nothing": () => "" },
        { store, below: requireSession({ user }) },
      );
      const { headers, session } = await sessions.create({ userId: "ada" });
      damage(keyOf(session.id ?? ""));
      expect((await fetch(`${it.url}/nothing`, { headers })).status).toBe(500);
    }
  });

  test("rejects for whoever opens the session outside a request", async () => {
    const { store, damage } = damageable("at once");
    const sessions = createSessions({ store });
    const { session } = await sessions.create({ userId: "ada" });
    damage(keyOf(session.id ?? ""));
    await expect(sessions.open(session.id ?? "")).rejects.toMatchObject({
      code: "ERR_SESSION_DECODE",
    });
  });
});
