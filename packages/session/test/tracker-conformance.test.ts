import { cookieTracker, headerTracker, type Tracker } from "@lanai/session";
import { type OpenedTracker, trackerConformance } from "@lanai/session/testing";
import { expect, test } from "vitest";
import { failuresOf } from "./conformance-failures.ts";

const failing = (opened: Partial<OpenedTracker> & Pick<OpenedTracker, "tracker">) =>
  failuresOf((fake) => trackerConformance({ name: "x", test: fake, open: () => opened }));

const cookie = cookieTracker();
const header = headerTracker();
const withCookie = (wrong: Partial<Tracker>): Tracker => ({ ...cookie, ...wrong });
const withHeader = (wrong: Partial<Tracker>): Tracker => ({ ...header, ...wrong });

const broken: readonly [what: string, fact: string, tracker: Tracker][] = [
  [
    "makes up an id",
    "a request that brings nothing has no id",
    withHeader({ get: (ctx) => [{ id: String(ctx.req.headers["session-id"]) }] }),
  ],
  [
    "takes an empty header for an id",
    "a request that brings nothing has no id",
    withHeader({
      get: (ctx) => {
        const id = ctx.req.headers["session-id"];
        return typeof id === "string" ? [{ id }] : [];
      },
    }),
  ],
  [
    "presents what it doesn't read",
    "the id that a client presents is read, each time alike",
    withCookie({ present: (id) => ({ cookie: `other=${id}` }) }),
  ],
  [
    "reads only once",
    "the id that a client presents is read, each time alike",
    (() => {
      const seen = new WeakSet();
      return withCookie({
        get: (ctx, text) => {
          if (seen.has(ctx)) return [];
          seen.add(ctx);
          return cookie.get(ctx, text);
        },
      });
    })(),
  ],
  ["forgets vary", "vary names the headers that bring an id", withCookie({ vary: "Accept" })],
  [
    "answers a reading",
    "reading sends nothing",
    withCookie({
      get: (ctx, text) => {
        ctx.set("X-Seen", "1");
        return cookie.get(ctx, text);
      },
    }),
  ],
  ["sends nothing", "what is set, a client presents", withCookie({ set: () => {} })],
  [
    "sends a Max-Age of milliseconds cut to 0",
    "what is set, a client presents",
    withCookie({
      set: (ctx, id, _record, maxAge) => {
        const age = maxAge === undefined ? "" : `; Max-Age=${Math.floor(maxAge / 1000)}`;
        ctx.res.setHeader("Set-Cookie", `sid=${id}${age}`);
      },
    }),
  ],
  [
    "adds a line for every set",
    "what is set twice is there once, the last",
    withCookie({ set: (ctx, id) => ctx.append("Set-Cookie", `sid=${id}; Path=/`) }),
  ],
  [
    "appends to its header",
    "what is set twice is there once, the last",
    withHeader({ set: (ctx, id) => ctx.append("Session-ID", id) }),
  ],
  [
    "clears by sending the id again",
    "what is cleared, a client forgets",
    withHeader({ clear: (ctx) => ctx.set("Session-ID", ctx.get("Session-ID")) }),
  ],
  ["keeps the first word", "the last of set and clear counts", withHeader({ clear: () => {} })],
  [
    "overwrites the app's cookies",
    "what the app sends itself is left alone",
    withCookie({ set: (ctx, id) => ctx.set("Set-Cookie", `sid=${id}`) }),
  ],
  [
    "writes through the body of Koa",
    "a response that the app ends itself carries it too",
    withHeader({
      set: (ctx, id) => {
        if (ctx.respond !== false) ctx.set("Session-ID", id);
      },
    }),
  ],
  [
    "takes the first of two",
    "of two ids in one place none is guessed: both are read, or neither",
    withHeader({
      get: (ctx, text) => {
        const id = text ?? String(ctx.req.headers["session-id"] ?? "").split(", ")[0];
        return id ? [{ id }] : [];
      },
    }),
  ],
  [
    "throws for a wrong encoding",
    "hostile requests are refused or read as they are",
    withHeader({
      get: (ctx, text) => {
        const id = decodeURIComponent(text ?? String(ctx.req.headers["session-id"] ?? ""));
        return id ? [{ id }] : [];
      },
    }),
  ],
  [
    "reads an id that is empty",
    "hostile requests are refused or read as they are",
    withHeader({
      get: (ctx, text) => {
        const id = text ?? ctx.req.headers["session-id"];
        return typeof id === "string" && id !== "" ? [{ id: id.trim() }] : [];
      },
    }),
  ],
  [
    "reads what nobody sent",
    "10,000 random requests are refused or read as they are",
    withHeader({
      get: (ctx, text) => {
        const id = text ?? ctx.req.headers["session-id"];
        if (typeof id !== "string" || id === "") return [];
        return [{ id: id.length === 50 ? "undefined" : id }];
      },
    }),
  ],
];

test.each(broken)("a tracker that %s fails", async (_what, fact, tracker) => {
  expect(await failing({ tracker })).toContain(fact);
});

test("a tracker without present needs a client's words", async () => {
  const { present: _, ...silent } = header;
  expect(await failing({ tracker: silent })).toContain("vary names the headers that bring an id");
  const present = (id: string) => ({ headers: { "session-id": id } });
  expect(await failing({ tracker: silent, present })).toEqual([]);
});

test("an asynchronous tracker passes", async () => {
  const tracker: Tracker = {
    ...cookie,
    get: async (ctx, text) => cookie.get(ctx, text),
    set: async (ctx, id, record, maxAge) => cookie.set(ctx, id, record, maxAge),
    clear: async (ctx) => cookie.clear(ctx),
  };
  expect(await failing({ tracker })).toEqual([]);
});

test("every case closes what it opened, also where it fails", async () => {
  let open = 0;
  const failures = await failuresOf((fake) =>
    trackerConformance({
      name: "x",
      test: fake,
      open: () => {
        open++;
        return { tracker: broken[6]?.[2] ?? cookie, close: () => void open-- };
      },
    }),
  );
  expect(failures).not.toEqual([]);
  expect(open).toBe(0);
});

test("every fact is one that a broken tracker fails", () => {
  const facts: string[] = [];
  trackerConformance({
    name: "x",
    open: () => ({ tracker: cookie }),
    test: (name) => facts.push(name.replace("x: ", "")),
  });
  expect(facts.filter((fact) => !broken.some(([, failed]) => failed === fact))).toEqual([]);
});
