import { createSessions, memoryStore } from "@lanai/session";
import { SessionError } from "@lanai/session/store";
import Koa from "koa";
import { afterEach, describe, expect, test, vi } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { serve } from "./http.ts";
import { type Method, steeredStore } from "./steered-store.ts";

afterEach(() => void vi.useRealTimers());

/** Two processes on one store, and whatever ends they report. */
function started() {
  const inner = memoryStore();
  const ended: string[] = [];
  const start = () => {
    const store = steeredStore(inner);
    const { around } = store;
    const sessions = createSessions({ store, storeTimeout: 50 });
    sessions.onEnd(({ publicId }) => void ended.push(publicId));
    const open = async (id: string) => {
      const session = await sessions.open(id);
      if (!session) throw new Error("the session has ended");
      return session;
    };
    return {
      sessions,
      open,
      /** Loses the answers to a call, or the call itself, until it is healed. */
      lose(method: Method, what: "answer" | "call" = "answer") {
        const { around: others } = store;
        store.around = async (name, call) => {
          if (name !== method) return others(name, call);
          if (what === "answer") await call();
          throw new Error("the connection is closed");
        };
      },
      /** Holds the next answer to this call back until it is given. */
      hold(method: Method) {
        const given = Promise.withResolvers<void>();
        store.around = async (name, call) => {
          const answer = call();
          if (name === method) {
            store.around = around;
            await given.promise;
          }
          return answer;
        };
        return given.resolve;
      },
      heal() {
        store.around = around;
      },
      damage() {
        store.load = () => {
          throw new SessionError("ERR_SESSION_DECODE", "the record can't be read");
        };
      },
    };
  };
  return { inner, ended, one: start(), other: start() };
}

const idOf = ({ id }: { readonly id: string | undefined }): string => id ?? "";

describe("S17: one end is reported once, in the process whose call has ended the session", () => {
  test.each(["one", "other"] as const)(
    "when the answer to a second end is lost (in %s process)",
    async (second) => {
      const at = started();
      const { session } = await at.one.sessions.create({ userId: "ada" });
      const id = idOf(session);
      const [first, late] = await Promise.all([at.one.open(id), at[second].open(id)]);
      const third = await at[second].open(id);
      const { publicId } = first;
      await first.destroy();
      at[second].lose("destroy");
      await expect(late.destroy()).rejects.toMatchObject({ status: 503 });
      at[second].heal();
      await third.destroy();
      expect(await at[second].sessions.open(id)).toBeUndefined();
      expect(at.ended).toEqual([publicId]);
    },
  );

  test("when the answer to the first is lost, and another process finds nothing to end", async () => {
    const at = started();
    const { session } = await at.one.sessions.create({ userId: "ada" });
    const id = idOf(session);
    const { publicId } = session;
    const late = await at.other.open(id);
    at.one.lose("destroy");
    await expect(session.destroy()).rejects.toMatchObject({ status: 503 });
    await late.destroy();
    expect(at.ended).toEqual([]);
    at.one.heal();
    expect(await at.one.sessions.open(id)).toBeUndefined();
    expect(at.ended).toEqual([publicId]);
  });

  test("also if no call of that process finds the session ended", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    const at = started();
    const { session } = await at.one.sessions.create({ userId: "ada" });
    const { publicId } = session;
    at.one.lose("destroy");
    await expect(session.destroy()).rejects.toMatchObject({ status: 503 });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(at.ended).toEqual([]);
    at.one.heal();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(at.ended).toEqual([publicId]);
  });

  test("when the answers to two ends at once are lost", async () => {
    const at = started();
    const { session } = await at.one.sessions.create({ userId: "ada" });
    const id = idOf(session);
    const { publicId } = session;
    const two = await at.one.open(id);
    at.one.lose("destroy");
    await Promise.allSettled([session.destroy(), two.destroy()]);
    at.one.heal();
    await Promise.all([at.one.sessions.open(id), at.one.sessions.open(id)]);
    expect(at.ended).toEqual([publicId]);
  });

  test("when it was asked for again by somebody else, and has ended nothing before", async () => {
    const at = started();
    const { session } = await at.one.sessions.create({ userId: "ada" });
    const { publicId } = session;
    const again = await at.one.open(idOf(session));
    at.one.lose("destroy", "call");
    await expect(session.destroy()).rejects.toMatchObject({ status: 503 });
    at.one.heal();
    await again.destroy();
    expect(at.ended).toEqual([publicId]);
    expect(at.inner.size).toBe(0);
  });

  test("also when the store has forgotten that it was lost", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const at = started();
    const { session } = await at.one.sessions.create({ userId: "ada" });
    const id = idOf(session);
    const { publicId } = session;
    at.one.lose("destroy");
    await expect(session.destroy()).rejects.toMatchObject({ status: 503 });
    at.one.heal();
    vi.setSystemTime(Date.now() + 61_000);
    for (let n = 0; n < 3_000; n++) at.inner.destroy("aa.unknown", `other ${n}`);
    await at.one.sessions.open(id);
    await at.one.sessions.open(id);
    expect(at.ended).toEqual([publicId]);
  });

  test("of a damaged session, when an answer comes late and the end was asked for again", async () => {
    const at = started();
    const { session, headers } = await at.one.sessions.create({ userId: "ada" });
    const { publicId } = session;
    at.one.damage();
    const app = new Koa();
    app.use(at.one.sessions.middleware());
    let answer: (() => void) | undefined;
    app.use(async (ctx) => {
      answer = at.one.hold("destroy");
      await expect(ctx.session.destroy()).rejects.toMatchObject({ status: 503 });
      await ctx.session.destroy();
      ctx.body = "ended";
    });
    await using served = await serve(app);
    expect(await (await fetch(served.url, { headers })).text()).toBe("ended");
    answer?.();
    await at.one.sessions.count();
    expect(at.ended).toEqual([publicId]);
  });

  test("of a user's sessions, when the answers to two calls at once are lost", async () => {
    const at = started();
    await at.one.sessions.create({ userId: "ada" });
    await at.one.sessions.create({ userId: "ada" });
    at.one.lose("destroyAll");
    const all = () => at.one.sessions.destroyAll({ user: "ada" });
    await Promise.allSettled([all(), all()]);
    at.one.heal();
    expect(await all()).toBe(2);
    expect(await all()).toBe(0);
    expect(new Set(at.ended).size).toBe(2);
    expect(at.ended).toHaveLength(2);
  });

  test("of everyone's, when an answer comes late and the call was repeated", async () => {
    const at = started();
    await at.one.sessions.create({ userId: "ada" });
    const answer = at.one.hold("destroyPage");
    const all = () => at.one.sessions.destroyAll({ everyone: true });
    await expect(all()).rejects.toMatchObject({ status: 503 });
    expect(await all()).toBe(1);
    answer();
    await all();
    expect(at.ended).toHaveLength(1);
  });
});

describe("S17: a session that no client will hold ends", () => {
  test("although the answer to its creation and that to its end were lost", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    const at = started();
    at.one.lose("create");
    at.one.lose("destroy", "call");
    await expect(at.one.sessions.create({ userId: "ada" })).rejects.toMatchObject({ status: 503 });
    expect(at.inner.size).toBe(1);
    at.one.heal();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(at.inner.size).toBe(0);
  });

  test.each(["load", "commit"] as const)(
    "if its creation is repeated, and the answer to the %s after it is lost",
    async (method) => {
      const at = started();
      const app = new Koa();
      app.silent = true;
      app.use(at.one.sessions.middleware());
      app.use(async (ctx) => {
        at.one.lose("create");
        ctx.session.set("a", 1);
        await expect(ctx.session.commit()).rejects.toMatchObject({ status: 503 });
        at.one.heal();
        at.one.lose(method);
        ctx.session.set("a", 2);
      });
      await using served = await serve(app);
      const { status, headers } = await fetch(served.url);
      expect([status, headers.getSetCookie()]).toEqual([503, []]);
      await until(() => expect(at.inner.size).toBe(0));
    },
  );
});

test("a session whose creation was repeated is sent, although a commit to it has failed before", async () => {
  const at = started();
  const app = new Koa();
  app.use(at.one.sessions.middleware());
  app.use(async (ctx) => {
    const fail = () => expect(ctx.session.commit()).rejects.toMatchObject({ status: 503 });
    at.one.lose("create");
    ctx.session.set("a", 1);
    await fail();
    at.one.heal();
    at.one.lose("commit", "call");
    ctx.session.set("a", 2);
    await fail();
    at.one.heal();
    ctx.body = "stored";
  });
  await using served = await serve(app);
  const { headers } = await fetch(served.url);
  const [, id = ""] = /^sid=([^;]+)/.exec(headers.getSetCookie()[0] ?? "") ?? [];
  expect((await at.one.open(id)).get("a")).toBe(2);
  expect(at.inner.size).toBe(1);
});
