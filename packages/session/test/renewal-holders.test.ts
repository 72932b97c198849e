import { request } from "node:http";
import { text } from "node:stream/consumers";
import { type Session, SessionError } from "@lanai/session";
import type { Context } from "koa";
import { describe, expect, test } from "vitest";
import { listen, type Routes, site } from "./site.ts";

/** What a request that loaded the session before its renewal may do afterwards. */
const calls: Record<string, (session: Session) => unknown> = {
  commit: (session) => session.set("late", 1).commit(),
  update: (session) => session.update("n", (n) => Number(n ?? 0) + 1),
  pop: async (session) => (await session.pop("once")) ?? "nothing",
  reload: (session) => session.reload(),
  destroy: (session) => session.destroy(),
  set: (session) => void session.set("late", 1),
};

const routes: Routes = {
  "/begin": (ctx) => void ctx.session.set("n", 0).set("once", "it"),
  "/begin-as-carol": (ctx) => ctx.session.set("n", 0).set("once", "it").login("carol"),
  "/login": (ctx) => ctx.session.set("secret", "hers").set("n", 7).login("ada"),
  "/renew": (ctx) => ctx.session.set("secret", "hers").set("n", 7).renewId(),
  "/read": (ctx) => ({ user: ctx.session.userId ?? null, ...ctx.session.toJSON() }),
  "/slow": async (ctx: Context) => {
    await text(ctx.req);
    const { session } = ctx;
    let told: unknown;
    try {
      told = await calls[String(ctx.query.do)]?.(session);
    } catch (error) {
      if (!(error instanceof SessionError)) throw error;
      told = [error.code, error.status];
    }
    return {
      told: told ?? null,
      user: session.userId ?? null,
      id: session.id ?? null,
      ...session.toJSON(),
    };
  },
};

/** Sends a request whose body is finished only when the returned function is called. */
const withSlowBody = async (url: string, cookie: string) => {
  const sent = request(url, { method: "POST", headers: { cookie } });
  const answer = new Promise<{ body: string; cookies: string[] }>((resolve, reject) => {
    sent.on("error", reject);
    sent.on("response", (response) => {
      text(response).then(
        (body) => resolve({ body, cookies: response.headers["set-cookie"] ?? [] }),
        reject,
      );
    });
  });
  sent.write("the first half");
  return () => {
    sent.end(", the second");
    return answer;
  };
};

describe.each(["login", "renew"])("S19: a request with a slow body, beside a %s", (renewal) => {
  const isLogin = renewal === "login";

  test.each(Object.keys(calls))("never follows it: %s", async (call) => {
    using heard = listen();
    const loaded = Promise.withResolvers<void>();
    await using it = await site(routes, {
      below: (ctx, next) => {
        if (ctx.path === "/slow") loaded.resolve();
        return next();
      },
    });
    const browser = it.browser();
    await browser.get(isLogin ? "/begin" : "/begin-as-carol");
    const before = browser.cookie;
    const finish = await withSlowBody(`${it.url}/slow?do=${call}`, before);
    await loaded.promise;
    await browser.get(`/${renewal}`);
    const after = browser.cookie;
    const { body, cookies } = await finish();

    for (const secret of ["hers", "ada", after.slice("sid=".length)]) {
      expect(body).not.toContain(secret);
    }
    const { told } = JSON.parse(body);
    const renewed = ["ERR_SESSION_RENEWED", 409];
    const expected: Record<string, unknown> = {
      commit: isLogin ? renewed : null,
      update: renewed,
      pop: isLogin ? "nothing" : "it",
    };
    expect(told).toEqual(expected[call] ?? null);
    // A cookie would replace the one that the browser was sent by the renewal.
    const sent = cookies.filter((line) => !/max-age=0/i.test(line));
    expect(sent).toEqual([]);

    const seen = await (await browser.get("/read")).json();
    if (call === "destroy") {
      expect(seen).toEqual({ user: null });
      expect(it.memory.size).toBe(0);
    } else {
      const isStored = !isLogin && (call === "commit" || call === "set");
      const isPopped = !isLogin && call === "pop";
      expect(seen).toEqual({
        user: isLogin ? "ada" : "carol",
        secret: "hers",
        n: 7,
        ...(!isPopped && { once: "it" }),
        ...(isStored && { late: 1 }),
      });
    }
    const dropped = heard.events.filter(({ name }) => name === "dropped");
    const isDropped = call === "update" || (isLogin && (call === "commit" || call === "set"));
    expect(dropped.map(({ event }) => typeof event.publicId)).toEqual(isDropped ? ["string"] : []);
  });
});

describe("S19: a holder whose session now belongs to another user", () => {
  const open = async () => {
    const it = await site(routes);
    const { session: planted } = await it.sessions.create({ values: { cart: 1 } });
    const [holder, owner] = [
      await it.sessions.open(planted.id ?? ""),
      await it.sessions.open(planted.id ?? ""),
    ];
    if (!holder || !owner) throw new Error("not there");
    owner.set("secret", "hers").login("ada");
    await owner.commit();
    return { it, holder, owner };
  };

  test("is told so by each explicit call, and reported once", async () => {
    using heard = listen();
    const { it, holder, owner } = await open();
    await using _ = it;
    const renewed = { code: "ERR_SESSION_RENEWED", status: 409, expose: true };
    await expect(holder.update("cart", () => 2)).rejects.toMatchObject(renewed);
    await expect(holder.set("draft", 1).commit()).rejects.toMatchObject(renewed);
    await expect(holder.set("draft", 2).commit()).rejects.toMatchObject(renewed);
    await expect(holder.update("n", () => 1)).rejects.toMatchObject(renewed);
    expect(await holder.pop("secret")).toBe(undefined);
    await holder.reload();
    expect([holder.userId, holder.id, holder.keys()]).toEqual([undefined, undefined, []]);
    const { publicId } = owner;
    const dropped = heard.events.filter(({ name }) => name === "dropped");
    expect(dropped.map(({ event }) => event.publicId)).toEqual([publicId]);
    await owner.reload();
    expect(owner.toJSON()).toEqual({ cart: 1, secret: "hers" });
  });

  test("still ends the session that it had loaded", async () => {
    const { it, holder, owner } = await open();
    await using _ = it;
    await expect(holder.set("draft", 1).commit()).rejects.toMatchObject({ status: 409 });
    await holder.destroy();
    expect(await it.sessions.open(owner.id ?? "")).toBe(undefined);
  });

  test("may sign in, and gets a session of its own with what it set", async () => {
    const { it, holder, owner } = await open();
    await using _ = it;
    holder.set("from", "holder").login("eve");
    await holder.commit();
    expect(holder.userId).toBe("eve");
    expect(holder.toJSON()).toEqual({ from: "holder" });
    expect(holder.publicId).not.toBe(owner.publicId);
    await owner.reload();
    expect(owner.userId).toBe("ada");
  });

  test("is only another holder if the same user signs in again", async () => {
    await using it = await site(routes);
    const { session } = await it.sessions.create({ userId: "ada" });
    const holder = await it.sessions.open(session.id ?? "");
    session.login("ada");
    await session.commit();
    await holder?.set("late", 1).commit();
    await session.reload();
    expect(session.toJSON()).toEqual({ late: 1 });
  });
});

test("an update on a session that has ended never resolves", async () => {
  await using it = await site(routes);
  const { session } = await it.sessions.create({ userId: "ada" });
  const holder = await it.sessions.open(session.id ?? "");
  if (!holder) throw new Error("not there");
  await session.destroy();
  const gone = { code: "ERR_SESSION_GONE" };
  await expect(holder.set("a", 1).commit()).rejects.toMatchObject(gone);
  await expect(holder.update("n", () => 1)).rejects.toMatchObject(gone);
});
