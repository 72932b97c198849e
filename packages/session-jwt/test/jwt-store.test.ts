import {
  cookieTracker,
  createSessions,
  headerTracker,
  queryTracker,
  type Sessions,
  type Tracker,
} from "@lanai/session";
import type { NewRecord } from "@lanai/session/store";
import { type JwtStoreOptions, jwtStore, jwtTracker } from "@lanai/session-jwt";
import { jwtVerify } from "jose";
import jsonwebtoken from "jsonwebtoken";
import Koa from "koa";
import { describe, expect, test } from "vitest";
import { serve } from "../../session/test/http.ts";
import { claimsAt, ISSUER, KEYS, keyOf, keysSignedBy, payloadOf, SECRET } from "./tokens.ts";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const START = Date.UTC(2026, 0, 1);

const record: NewRecord = {
  operation: "create",
  publicId: "the-public-id",
  values: new Map([
    ["d:name", '"Ada"'],
    ["__proto__", "1"],
  ]),
  owners: new Set(["user:ada"]),
  idle: 30 * MINUTE,
  absolute: DAY,
};

const open = (options: Partial<JwtStoreOptions> = {}) => {
  let now = START;
  const store = jwtStore({
    issuer: ISSUER,
    expiresIn: DAY,
    clock: () => now,
    ...(options.keys === undefined && { secret: SECRET }),
    ...options,
  });
  return {
    store,
    advance(ms: number) {
      now += ms;
    },
    status: async (token: string) => (await store.load(token)).status,
  };
};

test("a token holds the session, readable by its client and by other programs", async () => {
  const { store } = open({ clock: Date.now });
  const token = await store.create("", record);
  expect(payloadOf(token)).toMatchObject({
    iss: ISSUER,
    aud: ISSUER,
    session: { owners: ["user:ada"] },
  });
  const { payload } = await jwtVerify(token, new TextEncoder().encode(SECRET), {
    issuer: ISSUER,
    audience: ISSUER,
    typ: "sess-data+jwt",
    requiredClaims: ["exp", "iat", "jti"],
  });
  expect(payload.session).toMatchObject({
    values: [
      ["d:name", '"Ada"'],
      ["__proto__", "1"],
    ],
  });
});

describe("limit: a token can't be revoked", () => {
  test("a copy opens the session after a sign-out, until it expires", async () => {
    const { store, advance, status } = open();
    const copy = await store.create("", record);
    expect(await store.destroy(copy)).toEqual({
      publicId: "the-public-id",
      owners: new Set(["user:ada"]),
    });
    expect(await status(copy)).toBe("live");
    advance(30 * MINUTE);
    expect(await status(copy)).toBe("none");
  });
});

describe("a token is never without an expiry", () => {
  test("exp is when the session ends, to the second", async () => {
    const { store } = open();
    expect(payloadOf(await store.create("", record)).exp).toBe((START + 30 * MINUTE) / 1000);
  });

  test("expiresIn bounds an endless session", async () => {
    const { store, advance, status } = open({ expiresIn: 10 * MINUTE });
    const token = await store.create("", { ...record, idle: Infinity, absolute: Infinity });
    expect(payloadOf(token).exp).toBe((START + 10 * MINUTE) / 1000);
    advance(10 * MINUTE - 1);
    expect(await status(token)).toBe("live");
    advance(1);
    expect(await status(token)).toBe("none");
  });

  test("a shorter expiresIn holds for tokens that were issued before", async () => {
    const token = await open().store.create("", record);
    const stricter = open({ expiresIn: MINUTE });
    expect(await stricter.status(token)).toBe("live");
    stricter.advance(MINUTE);
    expect(await stricter.status(token)).toBe("none");
  });

  test("one without exp, or with a longer one than its session, is none", async () => {
    const { store, status } = open();
    const token = await store.create("", record);
    const resign = (claims: object) =>
      jsonwebtoken.sign(claims, SECRET, {
        header: { alg: "HS256", kid: "1", typ: "sess-data+jwt" },
      });
    const { exp, ...claims } = payloadOf(token);
    expect(await status(resign({ ...claims, exp }))).toBe("live");
    expect(await status(resign(claims))).toBe("none");
    const late = open();
    late.advance(30 * MINUTE);
    expect(await late.status(resign({ ...claims, exp: Number(exp) + 9999 }))).toBe("none");
  });
});

test("a token from the future is none, whatever its session says", async () => {
  const { store, status } = open();
  const claims = payloadOf(await store.create("", record));
  const header = { alg: "HS256", kid: "1", typ: "sess-data+jwt" };
  const later = START / 1000 + 6;
  for (const time of [{ iat: later }, { nbf: later }]) {
    expect(await status(jsonwebtoken.sign({ ...claims, ...time }, SECRET, { header }))).toBe(
      "none",
    );
  }
});

test("a commit that changes nothing answers another token nevertheless", async () => {
  const { store } = open();
  const tokens = [await store.create("", record)];
  for (const operation of ["1", "2"]) {
    const result = await store.commit(tokens.at(-1) ?? "", { operation });
    tokens.push(result.status === "saved" ? result.key : "");
  }
  expect(new Set(tokens).size).toBe(3);
  expect(tokens).not.toContain("");
});

test("a pointer's token is no session, and a session's no pointer", async () => {
  const { store, status } = open();
  const header = { alg: "HS256", kid: "1" };
  const sign = (claims: object, typ: string) =>
    jsonwebtoken.sign(claims, SECRET, { header: { ...header, typ } });
  const data = payloadOf(await store.create("", record));
  expect(await status(sign(data, "sess-data+jwt"))).toBe("live");
  expect(await status(sign(data, "sess+jwt"))).toBe("none");
  expect(await status(sign(claimsAt(START), "sess-data+jwt"))).toBe("none");
});

test.for<[string, object]>([
  ["no session", { session: undefined }],
  ["null", { session: null }],
  ["a text", { session: "{}" }],
  ["an array", { session: [] }],
  ["more in it", { session: { more: 1 } }],
  ["owners of another type", { session: { owners: [7] } }],
  ["values of another type", { session: { values: [["a", 1]] } }],
  ["values that are no pairs", { session: { values: [["a"]] } }],
  ["an instant of text", { session: { seenAt: "now" } }],
  ["an instant in the future", { session: { createdAt: START + MINUTE } }],
  ["no public id", { session: { publicId: 7 } }],
])("what was signed with our key but is no session of ours is none: %s", async ([, change]) => {
  const { store, status } = open();
  const claims = payloadOf(await store.create("", record));
  const { session } = change as { session?: unknown };
  const isPartial = typeof session === "object" && session !== null && !Array.isArray(session);
  const changed = {
    ...claims,
    session: isPartial ? { ...(claims.session as object), ...session } : session,
  };
  const token = jsonwebtoken.sign(changed, SECRET, {
    header: { alg: "HS256", kid: "1", typ: "sess-data+jwt" },
  });
  expect(await status(token)).toBe("none");
});

describe.each(KEYS)("$alg", ({ kid }) => {
  test("no letter of a token can be another", async () => {
    const { store, status } = open({ keys: keysSignedBy(kid) });
    const token = await store.create("", record);
    expect(await status(token)).toBe("live");
    for (let at = 0; at < token.length; at++) {
      const other = token[at] === "A" ? "B" : "A";
      expect(await status(token.slice(0, at) + other + token.slice(at + 1))).toBe("none");
    }
  });
});

test("the active key signs and all open", async () => {
  const old = open({ keys: [keyOf("hs")] });
  const token = await old.store.create("", record);
  const rotated = open({ keys: keysSignedBy("es") });
  expect(await rotated.status(token)).toBe("live");
  const result = await rotated.store.commit(token, { operation: "1", touch: true });
  expect(result.status).toBe("saved");
  expect(await old.status(result.status === "saved" ? result.key : "")).toBe("none");
});

test("what is too large is refused with its size and the limit", async () => {
  const values = new Map([["d:note", "x".repeat(4000)]]);
  await expect(open().store.create("", { ...record, values })).rejects.toMatchObject({
    code: "ERR_SESSION_TOO_LARGE",
    message: expect.stringMatching(/^jwtStore: the token has \d{4} bytes, and maxBytes is 4032:/),
  });
  const roomier = open({ maxBytes: 16_384 });
  const token = await roomier.store.create("", { ...record, values });
  expect([await roomier.status(token), await open().status(token)]).toEqual(["live", "none"]);
});

describe("under any tracker", () => {
  const sessionsBy = (tracker: Tracker) =>
    createSessions({
      store: jwtStore({ secret: SECRET, issuer: ISSUER, expiresIn: DAY }),
      tracker,
    });
  const counter = (sessions: Sessions) => {
    const app = new Koa();
    app.use(sessions.middleware());
    app.use((ctx) => {
      const visits = ctx.session.getInt("visits") + 1;
      ctx.session.set("visits", visits);
      ctx.body = `${visits}`;
    });
    return serve(app);
  };

  test.each<[string, Tracker]>([
    ["headerTracker", headerTracker()],
    ["cookieTracker", cookieTracker()],
    ["jwtTracker", jwtTracker({ secret: SECRET, issuer: ISSUER })],
  ])("%s: a session goes from request to request without a server", async (_name, tracker) => {
    await using served = await counter(sessionsBy(tracker));
    let headers: Record<string, string> = {};
    for (const visit of [1, 2, 3]) {
      const response = await fetch(served.url, { headers });
      expect(await response.text()).toBe(`${visit}`);
      const cookie = response.headers.getSetCookie()[0]?.split(";")[0];
      const sent = response.headers.get("session-id");
      headers = { ...(cookie && { cookie }), ...(sent && { "session-id": sent }) };
    }
  });

  test("queryTracker: a session is found by its URL", async () => {
    const sessions = sessionsBy(queryTracker());
    const { session } = await sessions.create({ values: { visits: 6 } });
    await using served = await counter(sessions);
    expect(await (await fetch(`${served.url}/?sid=${session.id}`)).text()).toBe("7");
  });
});
