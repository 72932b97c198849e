import { createHmac, createSecretKey, generateKeyPairSync } from "node:crypto";
import diagnostics from "node:diagnostics_channel";
import { type CookieTrackerOptions, cookieTracker, type Tracker } from "@lanai/session";
import { trackerConformance } from "@lanai/session/testing";
import { afterEach, describe, expect, test } from "vitest";
import { koaVersions } from "./koa-versions.ts";
import { site } from "./site.ts";
import { contextOf, found, type RequestParts, recordOf } from "./tracker-context.ts";

const KEY = "the first key has thirty-two bytes";
const OLD_KEY = "an older key has thirty-two bytes too";
const { publicKey } = generateKeyPairSync("ed25519");
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

const read = (tracker: Tracker, cookie: string, parts: RequestParts = {}) =>
  tracker.get(contextOf({ ...parts, headers: { ...parts.headers, cookie } }));

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
    expect(read(cookieTracker(), "__Host-sid=abc; __Secure-sid=abc")).toBeUndefined();
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
      "__Host-sid=abc; Path=/; HttpOnly; Secure; SameSite=Lax",
    ]);
  });

  test("reads the prefixed name alone", () => {
    const tracker = cookieTracker();
    expect(read(tracker, "sid=planted; __Host-sid=abc", secure)).toEqual({ id: "abc" });
    expect(read(tracker, "sid=planted", secure)).toBeUndefined();
    expect(read(tracker, "__Secure-sid=planted", secure)).toBeUndefined();
    expect(read(tracker, "__host-sid=planted", secure)).toBeUndefined();
  });

  test.each<[string, CookieTrackerOptions, string, string]>([
    ["by default", {}, "__Host-sid", "Path=/"],
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
    expect(read(tracker, "__Host-sid=no; __Secure-sid=abc", secure)).toEqual({ id: "abc" });
  });

  test("is one that a trusted proxy received over HTTPS", () => {
    const parts = { proxy: true, headers: { "x-forwarded-proto": "https" } };
    expect(read(cookieTracker(), "sid=no; __Host-sid=abc", parts)).toEqual({ id: "abc" });
  });

  test("is any request with secure: true", async () => {
    const tracker = cookieTracker({ secure: true });
    expect(await written(tracker)).toEqual([
      "__Host-sid=abc; Path=/; HttpOnly; Secure; SameSite=Lax",
    ]);
    expect(read(tracker, "sid=no; __Host-sid=abc")).toEqual({ id: "abc" });
  });
});

test("secure: false follows the request", async () => {
  const tracker = cookieTracker({ secure: false });
  expect(await written(tracker)).toEqual(["sid=abc; Path=/; HttpOnly; SameSite=Lax"]);
  expect(read(tracker, "__Host-sid=abc", { encrypted: true })).toEqual({ id: "abc" });
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
    "__Host-app=abc; Path=/; HttpOnly; Secure; Partitioned; Priority=High; SameSite=None",
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
    ["an empty value", "sid=", { refused: "malformed" }],
    ["a blank value", "sid= ; a=b", { refused: "malformed" }],
    ["4,096 bytes", `sid=${"a".repeat(4096)}`, { id: "a".repeat(4096) }],
    ["4,097 bytes", `sid=${"a".repeat(4097)}`, { refused: "malformed" }],
    ["two different values", "sid=abc; a=b; sid=d", { refused: "ambiguous" }],
    ["two equal values", "sid=abc; a=b; sid=abc", { id: "abc" }],
    ["a different value after two equal ones", "sid=a; sid=a; sid=b", { refused: "ambiguous" }],
  ])("reads %s", (_what, cookie, tracked) => {
    expect(read(cookieTracker(), cookie)).toEqual(tracked);
  });

  test("reads a name with every character that a token may have", () => {
    const name = "!#$%&'*+-.^_`|~aZ09";
    expect(read(cookieTracker({ name }), `${name}=abc`)).toEqual({ id: "abc" });
  });

  test("takes no token from a socket's first message", () => {
    expect(cookieTracker().get(contextOf({}), "abc")).toBeUndefined();
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
  expect(await tracker.present?.("abc", { secure: true })).toEqual({ cookie: "__Host-sid=abc" });
  expect(await cookieTracker({ secure: true }).present?.("abc", { secure: false })).toEqual({
    cookie: "__Host-sid=abc",
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
    const tracked = await read(tracker, `sid=${sign(KEY, "abc")}`);
    expect(tracked).toEqual({ id: "abc" });
    expect(admit(tracked)).toEqual({ status: "accept", reissue: false });
  });

  test("a cookie that an older one has signed is sent again", async () => {
    const tracked = await read(tracker, `sid=${sign(OLD_KEY, "abc")}`);
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
    ["the other name", sign(KEY, "abc", "__Host-sid")],
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

  function admit(tracked: Awaited<ReturnType<Tracker["get"]>>) {
    return tracked && tracker.admit?.(contextOf({}), tracked, recordOf(), found);
  }
});

test("without keys there is nothing to admit", () => {
  expect(cookieTracker()).not.toHaveProperty("admit");
});

describe("lanai:session:insecure", () => {
  const name = "lanai:session:insecure";
  let events: unknown[] = [];
  const listen = (event: unknown) => events.push(event);
  const https = { headers: { "x-forwarded-proto": "https" } };

  afterEach(() => {
    diagnostics.unsubscribe(name, listen);
    events = [];
  });

  test("says what to set where the app doesn't trust its proxy", async () => {
    diagnostics.subscribe(name, listen);
    await read(cookieTracker(), "sid=secret-id", https);
    await cookieTracker().get(contextOf(https));
    expect(events).toHaveLength(2);
    expect(events[0]).toEqual({
      level: "warn",
      message: expect.stringContaining("set app.proxy = true"),
    });
  });

  test("says nothing of other requests", async () => {
    diagnostics.subscribe(name, listen);
    await cookieTracker().get(contextOf({}));
    await cookieTracker().get(contextOf({ headers: { "x-forwarded-proto": "http" } }));
    await cookieTracker().get(contextOf({ ...https, proxy: true }));
    await cookieTracker().get(contextOf({ ...https, encrypted: true }));
    await cookieTracker({ secure: true }).get(contextOf(https));
    expect(events).toEqual([]);
  });
});

describe("what browsers would reject is refused at construction:", () => {
  test.each<[string, object, string]>([
    ["an empty name", { name: "" }, "name must be a token of RFC 9110"],
    ["a name with a space", { name: "a b" }, "name must be a token of RFC 9110"],
    ["a name with =", { name: "a=b" }, "got 'a=b'"],
    ["a name that is no text", { name: 5 }, "got 5"],
    ["a name with a prefix", { name: "__Host-sid" }, "is added by itself on a secure request"],
    ["a prefix in another case", { name: "__secure-sid" }, "is added by itself"],
    ["a domain with a leading dot", { domain: ".example.com" }, "without a leading dot"],
    ["a domain with a port", { domain: "example.com:80" }, "domain must be a host name"],
    ["a domain that is a URL", { domain: "https://example.com" }, "domain must be a host name"],
    ["an empty domain", { domain: "" }, "domain must be a host name"],
    ["a domain of 254 characters", { domain: `${"a.".repeat(126)}ab` }, "domain must be"],
    ["a path without a slash", { path: "app" }, "path must be an absolute path without ;"],
    ["a path with ;", { path: "/a;b" }, "path must be an absolute path without ;"],
    ["a path with a line break", { path: "/a\r\nb" }, "path must be an absolute path without ;"],
    [
      "a path of 1,025 characters",
      { path: `/${"a".repeat(1024)}` },
      "path must be an absolute path without ;",
    ],
    ["secure: 'auto'", { secure: "auto" }, "secure must be one of true, false, got 'auto'"],
    ["sameSite: true", { sameSite: true }, "sameSite must be one of 'lax', 'strict', 'none'"],
    ["partitioned: 1", { secure: true, partitioned: 1 }, "partitioned must be one of true, false"],
    ["a priority", { priority: "urgent" }, "priority must be one of 'low', 'medium', 'high'"],
    ["sameSite none", { sameSite: "none" }, "sameSite 'none' needs secure: true"],
    ["partitioned", { partitioned: true }, "partitioned needs secure: true"],
    ["a single key", { keys: KEY }, "keys must be an array of secrets"],
    ["no keys", { keys: [] }, "keys must hold at least one key, got none"],
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
