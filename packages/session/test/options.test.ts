import {
  cookieTracker,
  createSessions,
  memoryStore,
  randomIds,
  requireSession,
  type SessionsOptions,
  type Store,
  session,
} from "@lanai/session";
import Koa from "koa";
import { afterEach, describe, expect, test, vi } from "vitest";
import { serve } from "./http.ts";

const make =
  (options: unknown): (() => unknown) =>
  () =>
    createSessions(options as SessionsOptions);

const stateless: Store = Object.assign(memoryStore(), { carriesData: { isValid: () => true } });

describe("a wrong value is refused at construction, by the option's name", () => {
  const noStore =
    "store must be a Store with load, create, commit and destroy, such as memoryStore()";
  const noTracker = "tracker must be a Tracker with get, set and clear, such as cookieTracker()";
  const noGenerator =
    "generator must be an IdGenerator with generate and isValid, such as randomIds()";
  const noProperty = 'property must be a name such as "session"';
  test.each<[string, unknown, string]>([
    ["store null", { store: null }, noStore],
    [
      "store of koa-session, with get, set and destroy",
      { store: { get() {}, set() {}, destroy() {} } },
      noStore,
    ],
    ["store as a class", { store: class {} }, noStore],
    ["store memoryStore, not called", { store: memoryStore }, noStore],
    ["tracker cookieTracker, not called", { tracker: cookieTracker }, noTracker],
    ["tracker without clear", { tracker: { get() {}, set() {} } }, noTracker],
    ["tracker 'cookie'", { tracker: "cookie" }, noTracker],
    ["generator as a function", { generator: () => "id" }, noGenerator],
    ["generator without isValid", { generator: { generate() {} } }, noGenerator],
    [
      "generator beside a store that carries its data",
      { store: stateless, generator: randomIds() },
      "generator must be left out: this store's ids are the sessions themselves",
    ],
    [
      "name beside a tracker",
      { name: "a", tracker: cookieTracker() },
      "name must be given to the tracker, since there is one: cookieTracker({ name })",
    ],
    ["load true", { load: true }, 'load must be "eager" or "lazy"'],
    ["load 'never'", { load: "never" }, 'load must be "eager" or "lazy"'],
    ["property ''", { property: "" }, noProperty],
    ["property 'my session'", { property: "my session" }, noProperty],
    ["property 1", { property: 1 }, noProperty],
    ["onSessionNew 'log'", { onSessionNew: "log" }, "onSessionNew must be a function"],
    ["onSessionRelease {}", { onSessionRelease: {} }, "onSessionRelease must be a function"],
  ])("%s", (_what, options, message) => {
    const value = (options as Record<string, unknown>)[message.slice(0, message.indexOf(" "))];
    const isShown = /^(load|property)/.test(message);
    const got = isShown ? JSON.stringify(value) : value === null ? "null" : typeof value;
    expect(make(options)).toThrow(new TypeError(`createSessions: ${message}, got ${got}`));
  });

  const year = 400 * 24 * 60 * 60 * 1000;
  test.each<[string, unknown[], string]>([
    ["idleTimeout", [0, -1, 999, year + 1, Number.POSITIVE_INFINITY], `1000 to ${year}`],
    ["absoluteTimeout", [0, -1, 999, Number.NEGATIVE_INFINITY], "1000 or Infinity"],
    ["storeTimeout", [0, -1, 2 ** 31, Number.POSITIVE_INFINITY], "1 to 2147483647"],
  ])("%s out of its range, NaN or no number", (option, values, range) => {
    const message = `createSessions: ${option} must be a number of milliseconds from ${range}`;
    for (const value of [...values, Number.NaN]) {
      expect(make({ [option]: value })).toThrow(new RangeError(`${message}, got ${value}`));
    }
    for (const value of ["60000", "1h", null, true, new Date()]) {
      const got = value === null ? "null" : typeof value;
      expect(make({ [option]: value })).toThrow(new TypeError(`${message}, got ${got}`));
    }
  });

  test("name of the cookie", () => {
    for (const name of ["", "a b", "a;b", "ä", "__Host-sid", 1]) {
      expect(make({ name })).toThrow(/^(createSessions|cookieTracker): name must /);
    }
  });

  test("options that aren't an object", () => {
    for (const options of [null, "secret", 5, () => {}]) {
      expect(make(options)).toThrow(
        `createSessions: the options must be an object, got ${options === null ? "null" : typeof options}`,
      );
    }
  });

  test("koa-session's session(options, app) and session(app)", () => {
    expect(() => session(new Koa() as never)).toThrow(
      /^createSessions: takes options, and not the app/,
    );
  });

  test.each<[string, unknown, string]>([
    [
      "an option that doesn't exist",
      { role: "admin" },
      'requireSession: there is no option "role": its options are user, within, methods, impersonated, redirect, property',
    ],
    ["a string", "/sign-in", "requireSession: the options must be an object, got string"],
  ])("requireSession with %s", (_what, options, message) => {
    expect(() => requireSession(options as object)).toThrow(new TypeError(message));
  });
});

test("the ends of the ranges are accepted", () => {
  const year = 400 * 24 * 60 * 60 * 1000;
  const store = memoryStore();
  for (const options of [
    { idleTimeout: 1000, absoluteTimeout: 1000, storeTimeout: 1 },
    { idleTimeout: year, absoluteTimeout: Number.POSITIVE_INFINITY, storeTimeout: 2 ** 31 - 1 },
  ]) {
    expect(make({ store, ...options })).not.toThrow();
  }
});

describe("options of koa-session and express-session are answered with what to write", () => {
  const timeouts = "write idleTimeout and absoluteTimeout";
  const tracker = "it belongs to the tracker: write tracker: cookieTracker({ … })";
  const lives = "a session that is used lives on by itself, up to absoluteTimeout";
  test.each<[string, string]>([
    ["key", "write name"],
    ["maxAge", `${timeouts}, or call session.persist(ms)`],
    ["ttl", timeouts],
    ["rolling", lives],
    ["renew", lives],
    ["resave", "only what changed is stored: leave it out"],
    ["saveUninitialized", "an empty session is never stored: leave it out"],
    ["autoCommit", "call session.commit() to store at once: leave it out"],
    ["genid", "write generator"],
    ["genSid", "write generator"],
    ["allowEmpty", "an empty session is never stored: leave it out"],
    ["unset", "to end a session write await ctx.session.destroy()"],
    ["valid", "write requireSession, or a middleware that calls ctx.session.destroy()"],
    ["beforeSave", "write onSessionNew for what every session has"],
    ["defer", "write load: 'lazy'"],
    ["errorHandler", "an outage is thrown to Koa, as a 503: leave it out"],
    ["reconnectTimeout", "write storeTimeout"],
    ["proxy", "write app.proxy = true"],
    ["secret", "ids need no signature; for one write tracker: cookieTracker({ keys: [secret] })"],
    ["keys", "ids need no signature; for one write tracker: cookieTracker({ keys })"],
    ["signed", "ids need no signature; for one write tracker: cookieTracker({ keys })"],
    ["cookie", tracker],
    ["domain", tracker],
    ["path", tracker],
    ["secure", tracker],
    ["sameSite", tracker],
    ["partitioned", tracker],
    ["httpOnly", "it is always on"],
    ["overwrite", "it is always on"],
    ["externalKey", "write tracker: headerTracker({ name })"],
    ["ContextStore", "write store"],
    ["sessionIdStore", "write tracker"],
    ["prefix", "a prefix of keys belongs to the store"],
    ["encode", "write store: sealedStore({ context, keys }) to keep sessions in the cookie"],
    ["decode", "write store: sealedStore({ context, keys }) to keep sessions in the cookie"],
  ])("%s", (option, hint) => {
    expect(make({ [option]: "a value" })).toThrow(
      new TypeError(`createSessions: there is no option "${option}": ${hint}`),
    );
  });

  test.each(["idletimeout", "toString", "__proto__"])(
    "%s, of which there is nothing to say, with the options there are",
    (option) => {
      const options = JSON.parse(`{ ${JSON.stringify(option)}: 1 }`);
      expect(make(options)).toThrow(
        new TypeError(
          `createSessions: there is no option "${option}": its options are store, tracker, ` +
            "generator, name, idleTimeout, absoluteTimeout, load, property, onSessionNew, " +
            "onSessionRelease, storeTimeout, devices, touch, maxSessionsPerUser",
        ),
      );
    },
  );

  test("a secret is not in the message", () => {
    expect(make({ secret: "keyboard cat" })).not.toThrow(/keyboard cat/);
    expect(make({ secret: "keyboard cat" })).toThrow();
  });
});

describe("the options object", () => {
  test("may be frozen, may be missing, and may hold undefined", () => {
    expect(make(Object.freeze({ store: memoryStore(), name: "visit" }))).not.toThrow();
    expect(make(undefined)).not.toThrow();
    expect(
      make({ store: undefined, tracker: undefined, idleTimeout: undefined, load: undefined }),
    ).not.toThrow();
  });

  test("is left as it was, and changes to it after construction change nothing", async () => {
    const options = {
      store: memoryStore() as Store,
      name: "before",
      load: "eager" as "eager" | "lazy",
      idleTimeout: 60_000,
      absoluteTimeout: 120_000,
      property: "session",
      onSessionNew: (): void => {},
    };
    const copy = { ...options };
    const sessions = createSessions(options);
    expect(options).toEqual(copy);
    const called = vi.fn();
    Object.assign(options, {
      store: { load: called, create: called, commit: called, destroy: called },
      name: "after",
      load: "lazy",
      idleTimeout: 5_000,
      absoluteTimeout: 5_000,
      property: "other",
      onSessionNew: called,
      onSessionRelease: called,
    });

    const app = new Koa();
    app.use(sessions.middleware());
    app.use(async (ctx) => {
      ctx.session.set("n", 1);
      await ctx.session.commit();
      const { createdAt, expiresAt } = ctx.session;
      ctx.body = String(Number(expiresAt) - Number(createdAt));
      await ctx.session.destroy();
    });
    await using served = await serve(app);
    const response = await fetch(served.url);
    expect(await response.text()).toBe("60000");
    expect(response.headers.getSetCookie()).toEqual([expect.stringMatching(/^before=/)]);
    expect(called).not.toHaveBeenCalled();
  });
});

describe("the memory store in production", () => {
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
    vi.resetModules();
  });

  /** The package as a process that has just begun has it. */
  async function fresh(nodeEnv: string) {
    vi.resetModules();
    vi.stubEnv("NODE_ENV", nodeEnv);
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    return { warn, ...(await import("@lanai/session")) };
  }

  test("warns once where nobody chose it", async () => {
    const fresher = await fresh("production");
    fresher.createSessions();
    fresher.session();
    expect(fresher.warn).toHaveBeenCalledExactlyOnceWith(
      expect.stringContaining("@lanai/session keeps sessions in memory"),
    );
  });

  test("says nothing where somebody did, or outside production", async () => {
    const production = await fresh("production");
    production.createSessions({ store: production.memoryStore() });
    expect(production.warn).not.toHaveBeenCalled();
    const development = await fresh("development");
    development.createSessions();
    expect(development.warn).not.toHaveBeenCalled();
  });
});

test("createSessions(app) says what to write", () => {
  expect(() => createSessions({ callback() {}, use() {} } as never)).toThrow(
    "createSessions: takes options, and not the app: write app.use(createSessions().middleware())",
  );
});
