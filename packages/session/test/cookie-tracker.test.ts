import { createHmac, createSecretKey, generateKeyPairSync } from "node:crypto";
import {
  type CookieTrackerOptions,
  cookieTracker,
  type SessionEvent,
  type Tracker,
} from "@lanai/session";
import { trackerConformance } from "@lanai/session/testing";
import type { Context, Middleware } from "koa";
import { describe, expect, test } from "vitest";
import { reported } from "../../../scripts/testing/reported.ts";
import { koaVersions } from "./koa-versions.ts";
import { site } from "./site.ts";
import { contextOf, found, type RequestParts, recordOf } from "./tracker-context.ts";

const KEY = "the first key has thirty-two bytes";
const OLD_KEY = "an older key has thirty-two bytes too";
const { publicKey } = generateKeyPairSync("ed25519");
/** RFC 6265, 4.1.1: all that may stand in a value, but %, which begins an encoded character. */
const OCTETS = Array.from({ length: 94 }, (_, at) => String.fromCharCode(33 + at))
  .filter((it) => !'",;\\%'.includes(it))
  .join("");
const DAY = 24 * 60 * 60 * 1000;

const variants: Record<string, CookieTrackerOptions> = {
  "by default": {},
  signed: { keys: [KEY] },
  "with secure: true": { secure: true },
  "with a domain and a path": { domain: "example.com", path: "/app", name: "app-sid" },
  "of another site": { secure: true, sameSite: "none", partitioned: true, priority: "high" },
};

for (const [version, App] of koaVersions) {
  for (const [variant, options] of Object.entries(variants)) {
    trackerConformance({
      name: `cookieTracker ${variant}, ${version}`,
      test,
      createApp: () => new App(),
      open: () => ({ tracker: cookieTracker(options) }),
    });
  }
}

/** The one token that is read, or all if there are several. */
const read = (tracker: Tracker, cookie: string, parts: RequestParts = {}) => {
  const tokens = tracker.get(contextOf({ ...parts, headers: { ...parts.headers, cookie } }));
  if (tokens instanceof Promise) throw new Error("a cookie is read at once");
  return tokens.length > 1 ? tokens : tokens[0];
};

async function written(tracker: Tracker, parts: RequestParts = {}, maxAge?: number) {
  const ctx = contextOf(parts);
  await tracker.set(ctx, "abc", recordOf(), maxAge);
  return ctx.res.getHeader("Set-Cookie");
}

async function cleared(tracker: Tracker, parts: RequestParts = {}) {
  const ctx = contextOf(parts);
  await tracker.clear(ctx);
  return ctx.res.getHeader("Set-Cookie");
}

describe("a plain request", () => {
  test("writes the plain name, for this host, until the browser is closed", async () => {
    expect(await written(cookieTracker())).toEqual(["sid=abc; Path=/; HttpOnly; SameSite=Lax"]);
  });

  test("doesn't read the prefixed name", () => {
    expect(read(cookieTracker(), "__Host-Http-sid=abc; __Secure-sid=abc")).toBeUndefined();
  });

  test.each<[string, CookieTrackerOptions, string]>([
    ["by default", {}, "Path=/"],
    [
      "with a domain and a path",
      { domain: "example.com", path: "/app" },
      "Domain=example.com; Path=/app",
    ],
  ])("clears with the same flags %s", async (_what, options, where) => {
    expect(await cleared(cookieTracker(options))).toEqual([
      `sid=; Max-Age=0; ${where}; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax`,
    ]);
  });
});

describe("a secure request", () => {
  const secure = { encrypted: true };

  test("writes the prefixed name alone", async () => {
    expect(await written(cookieTracker(), secure)).toEqual([
      "__Host-Http-sid=abc; Path=/; HttpOnly; Secure; SameSite=Lax",
    ]);
  });

  test("reads the prefixed name alone", () => {
    const tracker = cookieTracker();
    expect(read(tracker, "sid=planted; __Host-Http-sid=abc", secure)).toEqual({ id: "abc" });
    expect(read(tracker, "sid=planted", secure)).toBeUndefined();
    expect(read(tracker, "__Secure-sid=planted", secure)).toBeUndefined();
    expect(read(tracker, "__host-sid=planted", secure)).toBeUndefined();
  });

  test.each<[string, CookieTrackerOptions, string, string]>([
    ["by default", {}, "__Host-Http-sid", "Path=/"],
    [
      "with a domain and a path",
      { domain: "example.com", path: "/app" },
      "__Secure-sid",
      "Domain=example.com; Path=/app",
    ],
  ])("clears with the same flags %s", async (_what, options, name, where) => {
    expect(await cleared(cookieTracker(options), secure)).toEqual([
      `${name}=; Max-Age=0; ${where}; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax`,
    ]);
  });

  test.each<[string, CookieTrackerOptions, string]>([
    ["a domain", { domain: "example.com" }, "Domain=example.com; Path=/"],
    ["a path", { path: "/app" }, "Path=/app"],
  ])("of a tracker with %s has the weaker prefix", async (_what, options, attributes) => {
    const tracker = cookieTracker(options);
    const line = `__Secure-sid=abc; ${attributes}; HttpOnly; Secure; SameSite=Lax`;
    expect(await written(tracker, secure)).toEqual([line]);
    expect(read(tracker, "__Host-Http-sid=no; __Secure-sid=abc", secure)).toEqual({ id: "abc" });
  });

  test("is one that a trusted proxy received over HTTPS", () => {
    const parts = { proxy: true, headers: { "x-forwarded-proto": "https" } };
    expect(read(cookieTracker(), "sid=no; __Host-Http-sid=abc", parts)).toEqual({ id: "abc" });
  });

  test("is any request with secure: true", async () => {
    const tracker = cookieTracker({ secure: true });
    expect(await written(tracker)).toEqual([
      "__Host-Http-sid=abc; Path=/; HttpOnly; Secure; SameSite=Lax",
    ]);
    expect(read(tracker, "sid=no; __Host-Http-sid=abc")).toEqual({ id: "abc" });
  });
});

test("malformed and unsigned values hide no good one behind them, however many there are", () => {
  const tracker = cookieTracker({ keys: [KEY] });
  const sign = (id: string) =>
    `${id}.${createHmac("sha256", KEY).update(`sid=${id}`).digest("base64url")}`;
  const bad = Array.from({ length: 300 }, (_, n) => `sid=${n}; sid=abc.${n}; sid=`).join("; ");
  expect(read(tracker, `${bad}; sid=${sign("abc")}`)).toContainEqual({ id: "abc" });
});

test("secure: false follows the request", async () => {
  const tracker = cookieTracker({ secure: false });
  expect(await written(tracker)).toEqual(["sid=abc; Path=/; HttpOnly; SameSite=Lax"]);
  expect(read(tracker, "__Host-Http-sid=abc", { encrypted: true })).toEqual({ id: "abc" });
});

test("the attributes are those that were asked for", async () => {
  const tracker = cookieTracker({
    name: "app",
    secure: true,
    sameSite: "none",
    partitioned: true,
    priority: "high",
  });
  expect(await written(tracker)).toEqual([
    "__Host-Http-app=abc; Path=/; HttpOnly; Secure; Partitioned; Priority=High; SameSite=None",
  ]);
  expect(await written(cookieTracker({ sameSite: "strict" }))).toEqual([
    "sid=abc; Path=/; HttpOnly; SameSite=Strict",
  ]);
});

test("limit: outside the cookie's path each request that sets something begins a session", async () => {
  const tracker = cookieTracker({ path: "/app" });
  await using it = await site({ "/elsewhere": (ctx) => void ctx.session.set("a", 1) }, { tracker });
  for (let sessions = 1; sessions <= 3; sessions++) {
    // One browser, which sends a cookie of this path to no other (RFC 6265bis, 5.1.4).
    const response = await it.browser().get("/elsewhere");
    expect(response.headers.getSetCookie()).toEqual([expect.stringContaining("; Path=/app;")]);
    expect(it.memory.size).toBe(sessions);
  }
});

describe("migrate", () => {
  const secure = { encrypted: true };
  const FORMER_GONE = [
    "__Host-sid=; Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax",
    "__Host-sid=; Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; Partitioned; SameSite=Lax",
  ];

  test("without it the former name is not read", () => {
    expect(read(cookieTracker(), "__Host-sid=abc", secure)).toBeUndefined();
  });

  test("reads the former name only where the new one is absent", () => {
    const tracker = cookieTracker({ migrate: true });
    expect(read(tracker, "__Host-sid=abc", secure)).toEqual({ id: "abc", outdated: true });
    expect(read(tracker, "__Host-sid=abc; __Host-Http-sid=def", secure)).toEqual({ id: "def" });
    expect(read(tracker, "__Host-sid=abc; __Host-Http-sid=", secure)).toEqual({
      refused: "malformed",
    });
    expect(read(tracker, "__Host-sid=abc")).toBeUndefined();
    expect(read(tracker, "sid=abc", secure)).toBeUndefined();
  });

  test.each(["domain", "path"])("with a %s there is nothing to move", (option) => {
    const value = option === "domain" ? "example.com" : "/app";
    const tracker = cookieTracker({ migrate: true, [option]: value });
    expect(read(tracker, "__Host-sid=abc", secure)).toBeUndefined();
  });

  test("takes a signature of the former name, and sends one of the new", async () => {
    const tracker = cookieTracker({ migrate: true, keys: [KEY] });
    const before = createHmac("sha256", KEY).update("__Host-sid=abc").digest("base64url");
    expect(read(tracker, `__Host-sid=abc.${before}`, secure)).toMatchObject({ id: "abc" });
    expect(read(tracker, "__Host-sid=abc.x", secure)).toEqual({ refused: "signature" });
  });

  test("moves the session on the next response, and ends the former cookie", async () => {
    const tracker = cookieTracker({ migrate: true });
    const routes = { "/": (ctx: Context) => ctx.session.getString("name", "nobody") };
    const trusted: Middleware = (ctx, next) => {
      ctx.app.proxy = true;
      return next();
    };
    await using it = await site(routes, { tracker, above: trusted });
    const { session } = await it.sessions.create({ values: { name: "ada" } });
    const proto = { "X-Forwarded-Proto": "https" };
    const moved = await fetch(it.url, {
      headers: { ...proto, Cookie: `__Host-sid=${session.id}` },
    });
    expect(await moved.text()).toBe("ada");
    expect(moved.headers.getSetCookie()).toEqual([
      ...FORMER_GONE,
      `__Host-Http-sid=${session.id}; Path=/; HttpOnly; Secure; SameSite=Lax`,
    ]);
    const after = await fetch(it.url, {
      headers: { ...proto, Cookie: `__Host-Http-sid=${session.id}` },
    });
    expect(await after.text()).toBe("ada");
    expect(after.headers.getSetCookie()).toEqual([]);
  });

  test("a sign-out leaves neither name", async () => {
    const ctx = contextOf({
      ...secure,
      headers: { cookie: "__Host-sid=planted; __Host-Http-sid=abc" },
    });
    const tracker = cookieTracker({ migrate: true });
    await tracker.get(ctx);
    await tracker.clear(ctx);
    expect(ctx.res.getHeader("Set-Cookie")).toEqual([
      ...FORMER_GONE,
      "__Host-Http-sid=; Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax",
    ]);
  });

  test("beside several of the new name expires the forms of both", async () => {
    const headers = {
      host: "a.b.c.d.example.com",
      cookie: "__Host-sid=x; __Host-Http-sid=a; __Host-Http-sid=b",
    };
    const ctx = contextOf({ ...secure, headers });
    const tracker = cookieTracker({ migrate: true });
    await tracker.get(ctx);
    await tracker.clear(ctx);
    expect(ctx.res.getHeader("Set-Cookie")).toHaveLength(4);
  });
});

describe("when several cookies of the name came, a sign-out expires", () => {
  const LABELS = "a.b.c.d.e.f.example.com";
  const attributesOf = async (options: CookieTrackerOptions, name: string, host = LABELS) => {
    const headers = { host, cookie: `${name}=one; ${name}=two` };
    const ctx = contextOf({ encrypted: name !== "sid", headers });
    const tracker = cookieTracker(options);
    await tracker.get(ctx);
    await tracker.clear(ctx);
    return (ctx.res.getHeader("Set-Cookie") as string[]).map((line) => {
      expect(line).toMatch(new RegExp(`^${name}=; Max-Age=0; `));
      const of = (attribute: string) =>
        new RegExp(`; ${attribute}=([^;]+)`).exec(line)?.[1] ?? "host-only";
      return `${of("Domain")} ${of("Path")}${line.includes("; Partitioned") ? " partitioned" : ""}`;
    });
  };

  test.each<[string, CookieTrackerOptions]>([
    ["host-only /", {}],
    ["host-only / partitioned", { partitioned: true, secure: true }],
  ])(
    "only %s and its twin of a __Host- cookie: browsers refuse a Domain there",
    async (own, options) => {
      const lines = await attributesOf(options, "__Host-Http-sid");
      expect(lines.at(-1)).toBe(own);
      expect(lines.sort()).toEqual(["host-only /", "host-only / partitioned"]);
    },
  );

  test("of a host with 8 labels first the forms without a domain and of the nearest one, in 8 lines", async () => {
    const nearest = LABELS.slice(2);
    expect(await attributesOf({ path: "/app" }, "__Secure-sid")).toEqual([
      "host-only /app partitioned",
      "host-only /",
      "host-only / partitioned",
      `${nearest} /app`,
      `${nearest} /app partitioned`,
      `${nearest} /`,
      `${nearest} / partitioned`,
      "host-only /app",
    ]);
  });

  test("with a domain and a path all forms of both, whatever the host has for parents", async () => {
    const options = { domain: "Example.com", path: "/app", partitioned: true, secure: true };
    expect(await attributesOf(options, "__Secure-sid")).toEqual([
      "example.com /app",
      "example.com / partitioned",
      "example.com /",
      "host-only /app partitioned",
      "host-only /app",
      "host-only / partitioned",
      "host-only /",
      "Example.com /app partitioned",
    ]);
  });

  test("with a domain those of the nearest parents and of the host itself", async () => {
    const options = { domain: "example.com" };
    expect(await attributesOf(options, "__Secure-sid", "www.shop.example.com")).toEqual([
      "example.com / partitioned",
      "host-only /",
      "host-only / partitioned",
      "shop.example.com /",
      "shop.example.com / partitioned",
      "www.shop.example.com /",
      "www.shop.example.com / partitioned",
      "example.com /",
    ]);
  });

  test("no partitioned ones over plain HTTP, and no domain of an address", async () => {
    expect(await attributesOf({}, "sid", "shop.example.com")).toEqual([
      "example.com /",
      "shop.example.com /",
      "host-only /",
    ]);
    expect(await attributesOf({}, "sid", "127.0.0.1")).toEqual(["host-only /"]);
  });
});

describe("Max-Age", () => {
  test.each([
    ["whole seconds, rounded down", 1_999, 1],
    ["at least one", 1, 1],
    ["at most 400 days", 1000 * DAY, 34_560_000],
    ["at most 400 days also without an end", Number.POSITIVE_INFINITY, 34_560_000],
  ])("is %s", async (_what, maxAge, seconds) => {
    expect(await written(cookieTracker(), {}, maxAge)).toEqual([
      `sid=abc; Max-Age=${seconds}; Path=/; HttpOnly; SameSite=Lax`,
    ]);
  });
});

describe("get", () => {
  test.each([
    ["another cookie", "theme=dark", undefined],
    ["a cookie whose name ends alike", "mysid=abc; my-sid=abc", undefined],
    ["a cookie whose value looks alike", "a=sid=abc; b=x sid=abc", undefined],
    ["a name without a value", "sid", undefined],
    ["the first pair", "sid=abc; theme=dark", { id: "abc" }],
    ["the last pair", "theme=dark; sid=abc", { id: "abc" }],
    ["pairs without a space", "theme=dark;sid=abc;a=b", { id: "abc" }],
    ["pairs with tabs", "theme=dark;\t sid=abc \t;a=b", { id: "abc" }],
    ["a value with =", "sid=a=b", { id: "a=b" }],
    ["an encoded value", "sid=%61bc", { id: "abc" }],
    ["a value that can't be decoded", "sid=%zz", { id: "%zz" }],
    ["a quoted value", 'sid="abc"', { id: "abc" }],
    ["a quoted value between others", 'a="b"; sid="abc" ;c=d', { id: "abc" }],
    ["a quoted and encoded value", 'sid="%61bc"', { id: "abc" }],
    ["a value with encoded quotes", "sid=%22abc%22", { id: '"abc"' }],
    ["a value with one quote", 'sid="abc', { id: '"abc' }],
    ["only quotes", 'sid=""', { refused: "malformed" }],
    ["a plain value beside its quoted twin", 'sid=abc; sid="abc"', { id: "abc" }],
    ["every character of a value", `sid=${OCTETS}`, { id: OCTETS }],
    ["every character in quotes", `sid="${OCTETS}"`, { id: OCTETS }],
    ["an empty value", "sid=", { refused: "malformed" }],
    ["a blank value", "sid= ; a=b", { refused: "malformed" }],
    ["4,096 bytes", `sid=${"a".repeat(4096)}`, { id: "a".repeat(4096) }],
    ["4,097 bytes", `sid=${"a".repeat(4097)}`, { refused: "malformed" }],
    ["two different values", "sid=abc; a=b; sid=d", [{ id: "abc" }, { id: "d" }]],
    ["two equal values", "sid=abc; a=b; sid=abc", { id: "abc" }],
    ["a different value after two equal ones", "sid=a; sid=a; sid=b", [{ id: "a" }, { id: "b" }]],
  ])("reads %s", (_what, cookie, tracked) => {
    expect(read(cookieTracker(), cookie)).toEqual(tracked);
  });

  test("reads a name with every character that a token may have", () => {
    const name = "!#$%&'*+-.^_`|~aZ09";
    expect(read(cookieTracker({ name }), `${name}=abc`)).toEqual({ id: "abc" });
  });

  test("takes no token from a socket's first message", () => {
    expect(cookieTracker().get(contextOf({}), "abc")).toEqual([]);
  });
});

describe("set", () => {
  test("replaces its own line, and only that", async () => {
    const ctx = contextOf({});
    ctx.res.setHeader("Set-Cookie", ["sid=old; Path=/", "sid2=app", "asid=app"]);
    await cookieTracker().set(ctx, "abc", recordOf());
    expect(ctx.res.getHeader("Set-Cookie")).toEqual([
      "sid2=app",
      "asid=app",
      "sid=abc; Path=/; HttpOnly; SameSite=Lax",
    ]);
  });

  test("keeps a single line of the app", async () => {
    const ctx = contextOf({});
    ctx.res.setHeader("Set-Cookie", "theme=dark");
    await cookieTracker().set(ctx, "abc", recordOf());
    expect(ctx.res.getHeader("Set-Cookie")).toEqual([
      "theme=dark",
      "sid=abc; Path=/; HttpOnly; SameSite=Lax",
    ]);
  });

  test("refuses what browsers would ignore, and says its size", async () => {
    const tracker = cookieTracker();
    const ctx = contextOf({});
    await tracker.set(ctx, "a".repeat(4093), recordOf());
    expect(ctx.res.getHeader("Set-Cookie")).toHaveLength(1);
    const over = contextOf({});
    expect(() => tracker.set(over, "a".repeat(4094), recordOf())).toThrow(
      expect.objectContaining({
        code: "ERR_SESSION_TOO_LARGE",
        message: "the cookie sid has 4097 bytes, and browsers keep 4096 at most",
      }),
    );
    expect(over.res.getHeaderNames()).toEqual([]);
  });
});

test("what is presented is what a client would send", async () => {
  const tracker = cookieTracker();
  expect(await tracker.present?.("abc", { secure: false })).toEqual({ cookie: "sid=abc" });
  expect(await tracker.present?.("abc", { secure: true })).toEqual({
    cookie: "__Host-Http-sid=abc",
  });
  expect(await cookieTracker({ secure: true }).present?.("abc", { secure: false })).toEqual({
    cookie: "__Host-Http-sid=abc",
  });
});

test("responses vary by Cookie", () => {
  expect(cookieTracker().vary).toBe("Cookie");
});

describe("with keys", () => {
  const sign = (key: string, id: string, name = "sid") =>
    `${id}.${createHmac("sha256", key).update(`${name}=${id}`).digest("base64url")}`;
  const tracker = cookieTracker({ keys: [KEY, OLD_KEY] });

  test("the value is the id and its signature by the first", async () => {
    expect(await tracker.present?.("abc", { secure: false })).toEqual({
      cookie: `sid=${sign(KEY, "abc")}`,
    });
    expect(await written(tracker)).toEqual([
      `sid=${sign(KEY, "abc")}; Path=/; HttpOnly; SameSite=Lax`,
    ]);
  });

  test("a cookie that the first has signed is not sent again", async () => {
    const tracked = read(tracker, `sid=${sign(KEY, "abc")}`);
    expect(tracked).toEqual({ id: "abc" });
    expect(admit(tracked)).toEqual({ status: "accept", reissue: false });
  });

  test("a cookie that an older one has signed is sent again", async () => {
    const tracked = read(tracker, `sid=${sign(OLD_KEY, "abc")}`);
    expect(tracked).toMatchObject({ id: "abc" });
    expect(admit(tracked)).toEqual({ status: "accept", reissue: true });
  });

  test("an id may hold a dot", () => {
    expect(read(tracker, `sid=${sign(KEY, "a.b")}`)).toEqual({ id: "a.b" });
  });

  const good = sign(KEY, "abc");
  const widened = (text: string) => String.fromCharCode(0x100 + text.charCodeAt(text.length - 1));
  test.each([
    ["no signature", "abc"],
    ["an empty signature", "abc."],
    ["no id", sign(KEY, "")],
    ["another id", `abd${good.slice(3)}`],
    ["a key that is gone", sign("a key that was withdrawn long ago", "abc")],
    ["the other name", sign(KEY, "abc", "__Host-Http-sid")],
    ["a signature that is cut", good.slice(0, -1)],
    ["a signature that goes on", `${good}A`],
    ["a character of the same low byte", encodeURIComponent(good.slice(0, -1) + widened(good))],
    ["a signature in plain base64", `${good}=`],
  ])("%s is refused", (_what, value) => {
    expect(read(tracker, `sid=${value}`)).toEqual({ refused: "signature" });
  });

  test("every changed character of a signature is refused", () => {
    for (let at = 4; at < good.length; at++) {
      const other = good[at] === "A" ? "B" : "A";
      const value = good.slice(0, at) + other + good.slice(at + 1);
      expect(read(tracker, `sid=${value}`)).toEqual({ refused: "signature" });
    }
  });

  test.each([
    ["text", KEY],
    ["bytes", Buffer.from(KEY)],
    ["key objects", createSecretKey(Buffer.from(KEY))],
  ])("they may be %s", (_what, key) => {
    expect(read(cookieTracker({ keys: [key] }), `sid=${good}`)).toEqual({ id: "abc" });
  });

  test("the signature counts in the size", () => {
    expect(() => tracker.set(contextOf({}), "a".repeat(4050), recordOf())).toThrow(
      "the cookie sid has 4097 bytes",
    );
  });

  function admit(tracked: ReturnType<typeof read>) {
    return tracked && "id" in tracked && tracker.admit?.(contextOf({}), tracked, recordOf(), found);
  }
});

test("without keys there is nothing to admit", () => {
  expect(cookieTracker()).not.toHaveProperty("admit");
});

describe("lanai:session:insecure", () => {
  const name = "lanai:session:insecure";
  const https = { headers: { "x-forwarded-proto": "https" } };
  const heard = () => reported<SessionEvent>(name);
  const get = (headers: Record<string, string>, proxy = false, options?: CookieTrackerOptions) =>
    cookieTracker(options).get(contextOf({ headers, proxy }));

  test("says what to set where the app doesn't trust its proxy", async () => {
    using insecure = heard();
    read(cookieTracker(), "sid=secret-id", https);
    expect(insecure.events).toEqual([
      { level: "warn", message: expect.stringContaining("set app.proxy = true") },
    ]);
    expect(JSON.stringify(insecure.events)).not.toContain("secret-id");
  });

  test("comes at most once a minute from one tracker for one header", async () => {
    using insecure = heard();
    const tracker = cookieTracker();
    for (let i = 0; i < 3; i++) await tracker.get(contextOf(https));
    await tracker.get(contextOf({ headers: { forwarded: "proto=https" } }));
    expect(insecure.events).toHaveLength(2);
  });

  test.each([
    ["X-Forwarded-Proto", "HTTPS"],
    ["X-Forwarded-Proto", "https, http"],
    ["X-Forwarded-Proto", "wss"],
    ["Forwarded", "for=192.0.2.60;proto=https;by=203.0.113.43"],
    ["Forwarded", 'For="[2001:db8::1]"; Proto="HTTPS", for=10.0.0.1;proto=http'],
    ["X-Forwarded-Protocol", "https"],
    ["X-Forwarded-Scheme", "https"],
    ["X-Url-Scheme", "https"],
    ["X-Forwarded-Ssl", "on"],
    ["X-Forwarded-Ssl", "ON"],
    ["Front-End-Https", "on"],
    ["Front-End-Https", "On"],
    ["X-ARR-SSL", "2048|256|C=US, O=Example CA|CN=www.example.com"],
    ["X-Forwarded-Port", "443"],
    ["CloudFront-Forwarded-Proto", "https"],
    ["CF-Visitor", '{"scheme":"https"}'],
  ])("knows that a proxy received the request over HTTPS by %s: %s", async (header, value) => {
    using insecure = heard();
    await get({ [header.toLowerCase()]: value });
    const message = expect.stringMatching(/set app\.proxy = true/);
    expect(insecure.events).toEqual([{ level: "warn", message }]);
  });

  test.each([
    ["X-Forwarded-Proto", "wss", "let the proxy send X-Forwarded-Proto: https, in lower case"],
    ["Forwarded", "proto=https", "let the proxy send X-Forwarded-Proto: https"],
  ])("says what is missing where app.proxy is set: %s: %s", async (header, value, advice) => {
    using insecure = heard();
    await get({ [header.toLowerCase()]: value }, true);
    expect(insecure.events).toEqual([{ level: "warn", message: expect.stringContaining(advice) }]);
  });

  test.each<[string, Record<string, string>]>([
    ["without such a header", {}],
    ["that a proxy received over HTTP", { "x-forwarded-proto": "http" }],
    ["of a second proxy over HTTPS", { "x-forwarded-proto": "http, https" }],
    ["that names HTTPS elsewhere", { forwarded: 'for=a;host="https";proto=http, proto=https' }],
    ["whose headers say no", { "x-forwarded-ssl": "off", "front-end-https": "off" }],
    ["with an empty X-ARR-SSL", { "x-arr-ssl": "" }],
  ])("says nothing of a request %s", async (_what, headers) => {
    using insecure = heard();
    await get(headers);
    expect(insecure.events).toEqual([]);
  });

  test("says nothing of a request that Koa takes for secure, or is made so", async () => {
    using insecure = heard();
    await get(https.headers, true);
    await cookieTracker().get(contextOf({ ...https, encrypted: true }));
    await get(https.headers, false, { secure: true });
    expect(insecure.events).toEqual([]);
  });

  test("tells of a plain request that brings only the cookie of HTTPS", async () => {
    using insecure = heard();
    await get({ cookie: "a=b; __Host-Http-sid=secret-id" });
    await get({ cookie: "__Secure-sid=secret-id" }, false, { path: "/app" });
    const message = expect.stringContaining("brought only the session cookie of HTTPS");
    expect(insecure.events).toEqual([
      { level: "warn", message },
      { level: "warn", message },
    ]);
    expect(JSON.stringify(insecure.events)).not.toContain("secret-id");
  });

  test("says nothing where the plain cookie came too, or another's", async () => {
    using insecure = heard();
    await get({ cookie: "sid=abc; __Host-Http-sid=def" });
    await get({ cookie: "__Host-Http-sid2=def; x__Host-Http-sid=d; a=__Host-Http-sid=d" });
    expect(insecure.events).toEqual([]);
  });

  test.each<[string, string, Record<string, string>, number]>([
    ["a browser over plain HTTP", "example.com", { origin: "http://example.com" }, 1],
    ["another client over plain HTTP", "example.com", {}, 1],
    ["a browser on loopback", "localhost:3000", { "sec-fetch-site": "none" }, 1],
    ["a page of HTTPS behind a silent proxy", "example.com", { origin: "https://example.com" }, 0],
    ["a browser behind a silent proxy", "example.com", { "sec-fetch-site": "none" }, 0],
    ["a browser behind a proxy that says so", "example.com", https.headers, 0],
  ])("secure: true is reported to %s: %s", async (_what, host, headers, times) => {
    using insecure = heard();
    await written(cookieTracker({ secure: true }), { headers: { host, ...headers } });
    await written(cookieTracker({ secure: true }), { headers: { host }, encrypted: true });
    expect(insecure.events).toHaveLength(times);
    for (const { message } of insecure.events) expect(message).toContain("secure: true");
  });

  test.each([
    ["example.com", "example.com", 0],
    ["example.com", "EXAMPLE.com:8080", 0],
    ["Example.com", "shop.example.com", 0],
    ["example.com", "notexample.com", 1],
    ["shop.example.com", "example.com", 1],
    ["example.com", "10.0.0.1", 1],
    ["com", "example.com", 1],
    ["localhost", "localhost", 0],
  ])("the domain %s at the host %s is reported %i times", async (domain, host, times) => {
    using insecure = heard();
    await written(cookieTracker({ domain }), { headers: { host } });
    expect(insecure.events).toHaveLength(times);
    for (const { message } of insecure.events) {
      expect(message).toContain("doesn't match the host of the request");
    }
  });
});

describe("what browsers would reject is refused at construction:", () => {
  test.each<[string, object, string]>([
    ["an empty name", { name: "" }, "name must be a token of RFC 9110"],
    ["a name with a space", { name: "a b" }, "name must be a token of RFC 9110"],
    ["a name with =", { name: "a=b" }, 'got "a=b"'],
    ["a name that is no text", { name: 5 }, "got 5"],
    ["a name with a prefix", { name: "__Host-Http-sid" }, "is added by itself on a secure request"],
    ["a prefix in another case", { name: "__secure-sid" }, "is added by itself"],
    ["a domain with a leading dot", { domain: ".example.com" }, "without a leading dot"],
    ["a domain with a port", { domain: "example.com:80" }, "domain must be a host name"],
    ["a domain that is a URL", { domain: "https://example.com" }, "domain must be a host name"],
    ["an empty domain", { domain: "" }, "domain must be a host name"],
    ["a domain of 254 characters", { domain: `${"a.".repeat(126)}ab` }, "domain must be"],
    ["a path without a slash", { path: "app" }, "path must be an absolute path without ;"],
    ["a path with ;", { path: "/a;b" }, "path must be an absolute path without ;"],
    ["a path with a space", { path: "/my app" }, "path must be an absolute path"],
    ["a path with a quote", { path: '/"app"' }, "path must be an absolute path"],
    ["a path with dots", { path: "/a/../b" }, "path must be an absolute path"],
    ["a path with encoded dots", { path: "/a/%2e%2E/b" }, "path must be an absolute path"],
    ["a path with a query", { path: "/app?a=b" }, "path must be an absolute path"],
    ["a path with a fragment", { path: "/app#a" }, "path must be an absolute path"],
    ["a path with a backslash", { path: "/a\\b" }, "path must be an absolute path"],
    ["a path with a tab", { path: "/a\tb" }, "path must be an absolute path"],
    ["a path in another script", { path: "/é" }, "path must be an absolute path"],
    ["a path with a line break", { path: "/a\r\nb" }, "path must be an absolute path without ;"],
    [
      "a path of 1,025 characters",
      { path: `/${"a".repeat(1024)}` },
      "path must be an absolute path without ;",
    ],
    ["secure: 'auto'", { secure: "auto" }, "secure must be a boolean, got string"],
    ["sameSite: true", { sameSite: true }, 'sameSite must be "lax", "strict" or "none", got true'],
    [
      "partitioned: 1",
      { secure: true, partitioned: 1 },
      "partitioned must be a boolean, got number",
    ],
    ["a priority", { priority: "urgent" }, 'priority must be "low", "medium" or "high"'],
    ["sameSite none", { sameSite: "none" }, 'sameSite "none" needs secure: true'],
    ["partitioned", { partitioned: true }, "partitioned needs secure: true"],
    [
      "a single key",
      { keys: KEY },
      "keys must be an array of at least one secret of at least 32 bytes, got string",
    ],
    [
      "no keys",
      { keys: [] },
      "keys must be an array of at least one secret of at least 32 bytes, got array",
    ],
    ["migrate: 'yes'", { migrate: "yes" }, "migrate must be a boolean, got string"],
    ["a short key", { keys: [KEY, "short"] }, "keys[1] must have at least 32 bytes, got 5"],
    ["a key that is none", { keys: [5] }, "keys[0] must be a string, a Uint8Array or a secret"],
    ["a public key", { keys: [publicKey] }, "keys[0] must be a string, a Uint8Array or a secret"],
  ])("%s", (_what, options, message) => {
    expect(() => cookieTracker(options)).toThrow(message);
    expect(() => cookieTracker(options)).toThrow(/^cookieTracker: /);
  });

  test("and a key is never shown", () => {
    const shown = (keys: unknown) => {
      try {
        cookieTracker({ keys } as object);
      } catch (error) {
        return String(error);
      }
      return undefined;
    };
    expect(shown(["hunter2"])).not.toContain("hunter2");
    expect(shown("hunter2".repeat(10))).not.toContain("hunter2");
  });

  test.each([
    ["key", "write name"],
    ["maxAge", "say idleTimeout to the session manager, or session.persist(ms)"],
    ["expires", "say idleTimeout to the session manager, or session.persist(ms)"],
    ["signed", "give keys, and the cookie is signed"],
    ["secret", "write keys: [secret]"],
    ["httpOnly", "it is always on"],
    ["overwrite", "it is always on"],
    ["samesite", "its options are name, domain, path, secure, sameSite"],
    ["constructor", "its options are name"],
  ])("the option %s", (option, hint) => {
    expect(() => cookieTracker({ [option]: "x" })).toThrow(
      `cookieTracker: there is no option "${option}": ${hint}`,
    );
  });

  test("options that are no object", () => {
    expect(() => cookieTracker("sid" as never)).toThrow(
      new TypeError("cookieTracker: the options must be an object, got string"),
    );
  });
});
