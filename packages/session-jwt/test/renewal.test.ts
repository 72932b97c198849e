import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { AddressInfo } from "node:net";
import {
  cookieTracker,
  createSessions,
  firstOf,
  memoryStore,
  type Store,
  sealedStore,
} from "@lanai/session";
import { bearerTracker, jwtTracker } from "@lanai/session-jwt";
import jsonwebtoken from "jsonwebtoken";
import Koa from "koa";
import { describe, expect, onTestFinished, test } from "vitest";
import { listen } from "../../session/test/site.ts";
import { contextOf, recordOf } from "../../session/test/tracker-context.ts";
import { type Answer, send, tokenSite } from "./token-site.ts";
import { payloadOf, SECRET } from "./tokens.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Sessions that outlive the tokens, so that it is the tokens that are tested. */
const sessions = { idleTimeout: 30 * DAY, absoluteTimeout: 60 * DAY };

const reasonOf = ({ headers }: Answer) =>
  /reason="(.*?)"/.exec(headers["www-authenticate"] ?? "")?.[1];

/** A store of which one call, once armed, is held up: a load after it was answered, a commit before. */
const heldUp = (method: "load" | "commit") => {
  let arrived: (() => void) | undefined;
  const released = Promise.withResolvers<void>();
  const stop = async () => {
    const tell = arrived;
    arrived = undefined;
    tell?.();
    if (tell) await released.promise;
  };
  return {
    arm: () =>
      new Promise<void>((resolve) => {
        arrived = resolve;
      }),
    release: () => released.resolve(),
    wrap: (store: Store): Store => ({
      ...store,
      load: async (key) => {
        const loaded = await store.load(key);
        if (method === "load") await stop();
        return loaded;
      },
      commit: async (key, change) => {
        if (method === "commit") await stop();
        return store.commit(key, change);
      },
    }),
  };
};

describe("a token's life", () => {
  test("a sign-in sends a token, that a cache must not keep", async () => {
    await using site = await tokenSite();
    const ada = site.visitor();
    const { token, headers } = await ada.get("/sign-in");
    expect(token).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
    expect(headers["cache-control"]).toBe("no-store");
    expect(headers["set-cookie"]).toBeUndefined();
    expect((await ada.get("/")).user).toBe("ada");
  });

  test("a valid token is not sent again", async () => {
    await using site = await tokenSite({ sessions });
    const ada = await site.visitor().signIn();
    site.advance(9 * MINUTE);
    expect(await ada.get("/")).toMatchObject({ user: "ada", token: undefined });
  });

  test("in the last third of its life a fresh one goes out, of the next generation", async () => {
    await using site = await tokenSite({ sessions });
    const ada = await site.visitor().signIn();
    const before = payloadOf(ada.token ?? "");
    site.advance(10 * MINUTE + 2 * SECOND);
    const { user, token } = await ada.get("/");
    expect(user).toBe("ada");
    const after = payloadOf(token ?? "");
    expect(after).toMatchObject({ sid: before.sid, gen: 1 });
    expect(after.exp).toBeGreaterThan(Number(before.exp));
    expect(await ada.get("/")).toMatchObject({ user: "ada", token: undefined });
  });

  test("an expired token is renewed while the store has the session, to the second of its grace", async () => {
    await using site = await tokenSite({ sessions });
    const [ada, late] = [await site.visitor().signIn(), await site.visitor().signIn()];
    const { exp } = payloadOf(ada.token ?? "");
    site.advance(Number(exp) * 1000 + DAY - site.now() - SECOND);
    const answer = await ada.get("/");
    expect(answer).toMatchObject({ status: 200, user: "ada" });
    expect(answer.token).toBeTruthy();
    site.advance(2 * SECOND);
    expect(await late.get("/")).toMatchObject({ user: "nobody", token: undefined });
    const refused = await late.get("/private");
    expect([refused.status, reasonOf(refused)]).toEqual([401, "expired"]);
  });

  test("without grace an expired token is refused", async () => {
    await using site = await tokenSite({ sessions, grace: 0 });
    const ada = await site.visitor().signIn();
    site.advance(15 * MINUTE - SECOND);
    expect((await ada.ask("/")).user).toBe("ada");
    site.advance(2 * SECOND);
    expect(reasonOf(await ada.ask("/private"))).toBe("expired");
  });

  test("a session that the store ended is ended, whatever its token says", async () => {
    await using site = await tokenSite({ sessions: { idleTimeout: 5 * MINUTE } });
    const ada = await site.visitor().signIn();
    const bob = await site.visitor().signIn();
    const copy = bob.token;
    await bob.get("/sign-out");
    expect(bob.token).toBeUndefined();
    const ended = site.visitor(copy);
    expect(await ended.get("/")).toMatchObject({ user: "nobody", token: undefined });
    expect(reasonOf(await ended.get("/private"))).toBe("unknown");
    site.advance(5 * MINUTE);
    expect(reasonOf(await ada.get("/private"))).toBe("unknown");
  });

  test("a token from more than the tolerance ahead is not yet valid", async () => {
    await using site = await tokenSite();
    const ada = await site.visitor().signIn();
    const start = Number(payloadOf(ada.token ?? "").iat) * 1000;
    site.advance(start - 5 * SECOND - site.now() + 50);
    expect((await ada.ask("/")).user).toBe("ada");
    site.advance(-100);
    expect(reasonOf(await ada.ask("/private"))).toBe("inactive");
  });

  test("a login moves the session to a new id, and the token of the old one is worthless", async () => {
    await using site = await tokenSite();
    const ada = site.visitor();
    await ada.get("/visit");
    const before = ada.token;
    await ada.get("/sign-in");
    expect(await ada.get("/")).toMatchObject({
      user: "ada",
      body: expect.stringContaining('"visits":1'),
    });
    expect(payloadOf(ada.token ?? "").sid).not.toBe(payloadOf(before ?? "").sid);
    expect(await site.visitor(before).get("/")).toMatchObject({ user: "nobody", token: undefined });
  });

  test("a renewal and the touch that is due are one commit", async () => {
    let commits = 0;
    const wrap = (store: Store): Store => ({
      ...store,
      commit: (key, change) => {
        commits++;
        return store.commit(key, change);
      },
    });
    await using site = await tokenSite({ sessions: { idleTimeout: 2 * HOUR }, wrap });
    const ada = await site.visitor().signIn();
    commits = 0;
    site.advance(HOUR);
    await ada.get("/");
    expect(commits).toBe(1);
    site.advance(90 * MINUTE);
    expect((await ada.get("/")).user).toBe("ada");
  });

  test("a renewed token survives an error of the app", async () => {
    await using site = await tokenSite({ sessions });
    const ada = await site.visitor().signIn();
    site.advance(HOUR);
    const failed = await ada.get("/fail");
    expect([failed.status, payloadOf(failed.token ?? "").gen]).toEqual([418, 1]);
  });
});

describe("two hold one token", () => {
  /** A store whose loads, once armed, are all answered before anyone goes on to commit. */
  const barrier = () => {
    let waiting = 0;
    let opened = Promise.withResolvers<void>();
    opened.resolve();
    return {
      arm(count: number) {
        waiting = count;
        opened = Promise.withResolvers();
      },
      wrap: (store: Store): Store => ({
        ...store,
        load: async (key) => {
          const loaded = await store.load(key);
          waiting--;
          if (waiting === 0) opened.resolve();
          await opened.promise;
          return loaded;
        },
      }),
    };
  };

  test("of twenty parallel requests with one expired token each is answered, and there is one successor", async () => {
    const { wrap, arm } = barrier();
    await using site = await tokenSite({ sessions, wrap });
    const ada = await site.visitor().signIn();
    site.advance(HOUR);
    arm(20);
    const answers = await Promise.all(Array.from({ length: 20 }, () => ada.ask("/visit")));
    expect(answers.map(({ status, user }) => [status, user])).toEqual(
      Array.from({ length: 20 }, () => [200, "ada"]),
    );
    const generations = answers.map(({ token }) => payloadOf(token ?? "").gen);
    expect(new Set(generations)).toEqual(new Set([1]));
    for (const { token } of answers) {
      expect((await site.visitor(token).ask("/")).user).toBe("ada");
    }
    expect(JSON.parse((await site.visitor(answers[0]?.token).ask("/")).body).visits).toBe(20);
  });

  test("after a lost response the retry works, however late", async () => {
    await using site = await tokenSite({ sessions });
    const ada = await site.visitor().signIn();
    site.advance(HOUR);
    await ada.ask("/");
    site.advance(HOUR);
    const retried = await ada.get("/");
    expect(retried).toMatchObject({ user: "ada" });
    expect(payloadOf(retried.token ?? "").gen).toBe(1);
    expect(await ada.get("/")).toMatchObject({ user: "ada", token: undefined });
  });

  test("a request that was under way with the old token is served for ten seconds, and gets nothing", async () => {
    await using site = await tokenSite({ sessions });
    const ada = await site.visitor().signIn();
    const straggler = site.visitor(ada.token);
    site.advance(HOUR);
    await ada.get("/");
    await ada.get("/");
    site.advance(9 * SECOND);
    expect(await straggler.ask("/")).toMatchObject({ user: "ada", token: undefined });
    expect(await straggler.ask("/stay")).toMatchObject({ user: "ada", token: undefined });
    expect((await ada.get("/")).user).toBe("ada");
  });

  test("a request that waited in a queue with a superseded token is served until that expires, and reported", async () => {
    const reports: unknown[] = [];
    const report = (event: unknown) => void reports.push(event);
    subscribe("lanai:session-jwt:superseded", report);
    onTestFinished(() => void unsubscribe("lanai:session-jwt:superseded", report));
    await using site = await tokenSite({ sessions });
    const ada = await site.visitor().signIn();
    const queued = site.visitor(ada.token);
    site.advance(11 * MINUTE);
    await ada.get("/");
    await ada.get("/");
    site.advance(3 * MINUTE);
    expect(await queued.ask("/")).toMatchObject({ user: "ada", token: undefined });
    expect(await queued.ask("/")).toMatchObject({ user: "ada", token: undefined });
    expect(reports).toEqual([expect.objectContaining({ level: "warn" })]);
    expect((await ada.get("/")).user).toBe("ada");
    site.advance(2 * MINUTE);
    expect(await queued.ask("/")).toMatchObject({ user: "nobody" });
    expect((await ada.get("/")).user).toBe("nobody");
  });

  test("an id that stands in a token opens nothing as a bare cookie", async () => {
    const carriers = firstOf(jwtTracker({ secret: SECRET, issuer: "test" }), cookieTracker());
    const store = memoryStore();
    const manager = createSessions({ store, tracker: carriers });
    const app = new Koa();
    app.use(manager.middleware());
    app.use((ctx) => {
      ctx.body = ctx.session.userId ?? "nobody";
    });
    const server = app.listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    await new Promise((resolve) => server.once("listening", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { headers } = await manager.create({ userId: "ada" });
    const ask = async (sent: Record<string, string>) =>
      (await fetch(url, { headers: sent })).text();
    expect(await ask(headers)).toBe("ada");
    const { sid } = payloadOf(headers["session-id"] ?? "");
    expect(await ask({ cookie: `sid=${String(sid)}` })).toBe("nobody");
  });

  test("a renewal that comes after the fresh token's use undoes nothing, and hands out nothing", async () => {
    const gate = heldUp("load");
    await using site = await tokenSite({ sessions, wrap: gate.wrap });
    const ada = await site.visitor().signIn();
    site.advance(HOUR);
    const reached = gate.arm();
    const slow = ada.ask("/");
    await reached;
    await ada.get("/");
    await ada.get("/");
    gate.release();
    expect(await slow).toMatchObject({ user: "ada", token: undefined });
    expect((await ada.get("/")).user).toBe("ada");
  });

  test("a stolen token that is used in lock-step ends the session within one round", async () => {
    using heard = listen();
    await using site = await tokenSite({ sessions });
    const ended: string[] = [];
    site.sessions.onEnd(({ reason }) => void ended.push(reason));
    const ada = await site.visitor().signIn();
    const thief = site.visitor(ada.token);
    ended.length = 0;
    let rounds = 0;
    for (; rounds < 5 && ended.length === 0; rounds++) {
      site.advance(HOUR);
      await ada.get("/");
      await ada.get("/");
      site.advance(5 * SECOND);
      expect((await thief.get("/")).token).toBeUndefined();
      site.advance(6 * SECOND);
      await thief.get("/");
    }
    expect(rounds).toBe(1);
    expect(ended).toEqual(["destroyed"]);
    for (const visitor of [ada, thief]) {
      expect((await visitor.get("/")).user).toBe("nobody");
    }
    const reused = heard.events.find(({ event }) => event.reason === "reused");
    expect(reused).toMatchObject({ name: "refused", event: { level: "error" } });
    expect(reused?.event.publicId).toBeTruthy();
  });

  test("the thief who renews first is found out by the owner", async () => {
    await using site = await tokenSite({ sessions });
    const ada = await site.visitor().signIn();
    const thief = site.visitor(ada.token);
    site.advance(HOUR);
    await thief.get("/");
    await thief.get("/");
    site.advance(11 * SECOND);
    const refused = await ada.get("/private");
    expect([refused.status, reasonOf(refused)]).toEqual([401, "unknown"]);
    expect((await thief.get("/")).user).toBe("nobody");
  });

  test("what has the id sent again, sends no fresh token to whoever holds an old one", async () => {
    await using site = await tokenSite({ sessions });
    const ada = await site.visitor().signIn();
    const { token } = ada;
    site.advance(MINUTE);
    expect((await ada.get("/stay")).token).toBe(token);
  });

  test("a generation that the store never reached is refused, and ends nothing", async () => {
    await using site = await tokenSite({ sessions });
    const ada = await site.visitor().signIn();
    const ahead = jsonwebtoken.sign({ ...payloadOf(ada.token ?? ""), gen: 7 }, SECRET, {
      header: { alg: "HS256", kid: "1", typ: "sess+jwt" },
    });
    using heard = listen();
    expect((await site.visitor(ahead).ask("/")).user).toBe("nobody");
    expect(heard.events[0]?.event).toMatchObject({ reason: "ahead", level: "error" });
    expect((await ada.ask("/")).user).toBe("ada");
  });
});

test("a token from elsewhere is not taken for the one that the request brought", async () => {
  let now = Date.now();
  const tracker = jwtTracker({ secret: SECRET, issuer: "test", clock: () => now });
  const ctx = contextOf({});
  const { "session-id": token = "" } =
    (await tracker.present?.("some-id", { secure: false })) ?? {};
  expect(await tracker.get(ctx, token)).toMatchObject([{ id: "some-id" }]);
  now += MINUTE;
  await tracker.set(ctx, "some-id", recordOf());
  expect(payloadOf(String(ctx.res.getHeader("session-id"))).iat).toBe(Math.floor(now / 1000));
});

test("a store that can't be had is a 503, and takes no token away", async () => {
  let isDown = false;
  const wrap = (store: Store): Store => ({
    ...store,
    load: (key) => (isDown ? Promise.reject(new Error("down")) : store.load(key)),
  });
  await using site = await tokenSite({ sessions, wrap });
  const ada = await site.visitor().signIn();
  site.advance(HOUR);
  isDown = true;
  expect(await ada.ask("/")).toMatchObject({ status: 503, token: undefined });
  isDown = false;
  expect((await ada.ask("/")).user).toBe("ada");
});

test("a token of more than 4,096 bytes is refused, however it came", async () => {
  await using site = await tokenSite();
  const { token = "" } = await site.visitor().signIn();
  const padded = (length: number) =>
    jsonwebtoken.sign({ ...payloadOf(token), pad: "x".repeat(length) }, SECRET, {
      header: { alg: "HS256", kid: "1", typ: "sess+jwt" },
    });
  const receive = (text: string) => site.sessions.receive(contextOf({}), text);
  const [fits, tooLong] = [padded(2700), padded(2900)];
  expect([fits.length <= 4096, tooLong.length > 4096]).toEqual([true, true]);
  expect((await receive(fits)).session?.userId).toBe("ada");
  expect(await receive(tooLong)).toEqual({ reason: "invalid", closeCode: 4401 });
});

test("while one token is judged, another of the same request is not taken for it", async () => {
  await using site = await tokenSite({
    sessions,
    wrap: (store) => ({
      ...store,
      load: async (key) => store.load(key),
    }),
  });
  const [ada, bob] = [await site.visitor().signIn(), site.visitor()];
  site.advance(HOUR);
  await bob.signIn();
  const ctx = contextOf({});
  // Ada's is expired and Bob's is fresh.
  const [hers, his] = await Promise.all([
    site.sessions.receive(ctx, ada.token ?? ""),
    site.sessions.receive(ctx, bob.token ?? ""),
  ]);
  expect(["headers" in hers, "headers" in his]).toEqual([true, false]);
});

describe("a termination during a renewal", () => {
  test("nothing revives, and no token goes out", async () => {
    const gate = heldUp("commit");
    await using site = await tokenSite({ sessions, wrap: gate.wrap });
    const ada = await site.visitor().signIn();
    const session = await site.sessions.open(String(payloadOf(ada.token ?? "").sid));
    site.advance(HOUR);
    using heard = listen();
    const reached = gate.arm();
    const renewing = ada.ask("/");
    await reached;
    await session?.destroy();
    gate.release();
    expect(await renewing).toMatchObject({ status: 200, user: "nobody", token: undefined });
    const refused = heard.events.find(({ name }) => name === "refused");
    expect(refused?.event).toMatchObject({ reason: "ended", level: "info" });
    expect((await ada.ask("/")).user).toBe("nobody");
  });
});

describe("carriers", () => {
  test("a token comes as Bearer and goes back in Session-ID", async () => {
    await using site = await tokenSite({ carrier: bearerTracker(), sessions });
    const { token } = await site.visitor().ask("/sign-in");
    const authorization = `Bearer ${token}`;
    expect((await send(site.url, { authorization })).user).toBe("ada");
    expect((await send(site.url, { "Session-ID": token ?? "" })).user).toBe("nobody");
    site.advance(HOUR);
    const renewed = await send(site.url, { authorization });
    expect(payloadOf(renewed.token ?? "").gen).toBe(1);
    expect(renewed.headers.vary).toBe("Authorization");
  });

  test("of two Bearer tokens none is guessed", async () => {
    await using site = await tokenSite({ carrier: bearerTracker() });
    const { token } = await site.visitor().ask("/sign-in");
    const bearer = `Bearer ${token}`;
    expect((await send(site.url, { authorization: [bearer] })).user).toBe("ada");
    expect((await send(site.url, { authorization: [bearer, "Bearer a.b.c"] })).user).toBe("nobody");
  });

  test("a refused Bearer token is told so in the words of RFC 6750", async () => {
    await using site = await tokenSite({ carrier: bearerTracker() });
    const refused = await send(`${site.url}/private`, { authorization: "Bearer a.b.c" });
    expect(refused.headers["www-authenticate"]).toBe(
      'Bearer realm="session", code="ERR_SESSION_REQUIRED", reason="invalid", error="invalid_token"',
    );
    const missing = await send(`${site.url}/private`, { authorization: "Basic YTpi" });
    expect(missing.headers["www-authenticate"]).toBe(
      'Bearer realm="session", code="ERR_SESSION_REQUIRED"',
    );
  });

  test("a token in a cookie is renewed there", async () => {
    await using site = await tokenSite({ carrier: cookieTracker({ name: "tok" }), sessions });
    const cookieIn = ({ headers }: Answer) => headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
    const cookie = cookieIn(await send(`${site.url}/sign-in`));
    expect(cookie).toMatch(/^tok=[\w-]+\.[\w-]+\.[\w-]+$/);
    expect((await send(site.url, { cookie })).user).toBe("ada");
    site.advance(HOUR);
    const renewed = cookieIn(await send(site.url, { cookie }));
    expect(payloadOf(renewed).gen).toBe(1);
  });

  test("the cookie of a session that is kept lives on, with the same token", async () => {
    await using site = await tokenSite({ carrier: cookieTracker(), sessions, expiresIn: DAY });
    const line = async (path: string, cookie = "") =>
      (await send(site.url + path, { cookie })).headers["set-cookie"]?.[0] ?? "";
    const [first = ""] = (await line("/sign-in")).split(";");
    const [kept = "", ...attributes] = (await line("/stay", first)).split("; ");
    expect(kept).toBe(first);
    expect(attributes).toContain(`Max-Age=${30 * 24 * 60 * 60}`);
  });
});

describe("a store that carries its data", () => {
  const store = () => sealedStore({ context: "app", keys: [SECRET], clock: () => Date.now() });

  test("has no generations and no grace", async () => {
    await using site = await tokenSite({ sessions: { ...sessions, store: store() } });
    const ada = await site.visitor().signIn();
    site.advance(12 * MINUTE);
    const renewed = await ada.ask("/");
    expect(renewed.user).toBe("ada");
    expect(payloadOf(renewed.token ?? "").gen).toBe(0);
    site.advance(4 * MINUTE);
    expect(reasonOf(await ada.ask("/private"))).toBe("expired");
  });
});

test("a token from a socket's first message is answered with a fresh one", async () => {
  await using site = await tokenSite({ sessions });
  const ada = await site.visitor().signIn();
  const ctx = contextOf({});
  const receive = (text: string) => site.sessions.receive(ctx, text);

  const fresh = await receive(ada.token ?? "");
  expect([fresh.session?.userId, "headers" in fresh]).toEqual(["ada", false]);
  site.advance(HOUR);
  const renewed = await receive(ada.token ?? "");
  expect(renewed.session?.userId).toBe("ada");
  const token = (renewed.session && renewed.headers?.["session-id"]) ?? "";
  expect(payloadOf(token).gen).toBe(1);
  expect((await site.visitor(token).ask("/")).user).toBe("ada");

  renewed.session?.set("marked", true);
  await renewed.session?.commit();
  expect(ctx.res.getHeaderNames()).toEqual([]);

  expect(await receive("")).toEqual({ reason: "missing", closeCode: 4401 });
  expect(await receive("a.b.c")).toEqual({ reason: "invalid", closeCode: 4401 });
  const [one, other] = await Promise.all([receive(token), receive("a.b.c")]);
  expect([one.session?.userId, other.session]).toEqual(["ada", undefined]);
  await renewed.session?.destroy();
  expect(await receive(token)).toEqual({ reason: "unknown", closeCode: 4401 });
  site.advance(-3 * HOUR);
  expect(await receive(token)).toEqual({ reason: "inactive", closeCode: 4403 });
});
