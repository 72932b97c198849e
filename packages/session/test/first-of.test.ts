import { cookieTracker, firstOf, headerTracker, queryTracker, type Tracker } from "@lanai/session";
import { trackerConformance } from "@lanai/session/testing";
import type { PresentedToken } from "@lanai/session/tracker";
import { describe, expect, test } from "vitest";
import { contextOf, found, recordOf } from "./tracker-context.ts";

/** The same tracker, but asynchronous. */
const slow = (tracker: Tracker): Tracker => ({
  ...tracker,
  get: async (ctx, text) => tracker.get(ctx, text),
  set: async (ctx, id, record) => tracker.set(ctx, id, record),
  clear: async (ctx) => tracker.clear(ctx),
});

const trackers = { cookie: cookieTracker(), header: headerTracker(), query: queryTracker() };

const pairs: Record<string, () => Tracker> = {
  "firstOf a cookie and a header": () => firstOf(trackers.cookie, trackers.header),
  "firstOf a header and a cookie": () => firstOf(trackers.header, trackers.cookie),
  "firstOf three": () => firstOf(trackers.cookie, trackers.header, trackers.query),
  "firstOf, asynchronous": () => firstOf(trackers.cookie, slow(trackers.header)),
};

for (const [name, open] of Object.entries(pairs)) {
  trackerConformance({ name, test, open: () => ({ tracker: open() }) });
}

/** Answers what it was made with, and notes what it is told. */
function noted(token: PresentedToken | undefined, more: Partial<Tracker> = {}) {
  const calls: string[] = [];
  const tracker: Tracker = {
    get: (_ctx, text) => {
      calls.push(`get ${text}`);
      return token === undefined ? [] : [token];
    },
    set: (_ctx, id, _record, maxAge) => void calls.push(`set ${id} ${maxAge}`),
    clear: () => void calls.push("clear"),
    ...more,
  };
  return { tracker, calls };
}

const nothing = undefined;
const a = { id: "a" };
const b = { id: "b" };
const bad = { refused: "malformed" };

describe.each([
  ["synchronous", (tracker: Tracker) => tracker],
  ["asynchronous", slow],
])("of %s trackers", (_kind, made) => {
  test.each<[string, readonly (PresentedToken | undefined)[]]>([
    ["nothing", [nothing, nothing]],
    ["the first's id", [a, nothing]],
    ["the second's id", [nothing, a]],
    ["the third's id", [nothing, nothing, a]],
    ["an id on which all agree", [a, { id: "a" }]],
    ["two ids", [a, b]],
    ["ids of the first and the third", [a, nothing, b]],
    ["a refusal", [nothing, bad]],
    ["a refusal before an id", [bad, a]],
    ["a refusal after an id", [a, bad]],
    ["a refusal and two ids", [a, b, bad]],
  ])("%s: all tokens are read, in their order", async (_what, results) => {
    const tracker = firstOf(...results.map((result) => made(noted(result).tracker)));
    const tokens = results.filter((result) => result !== undefined);
    expect(await tracker.get(contextOf({}))).toEqual(tokens);
  });
});

test("is synchronous if all are, and asynchronous if one is", () => {
  const quick = noted(a).tracker;
  const promising = slow(noted(nothing).tracker);
  expect(firstOf(quick, quick).get(contextOf({}))).toEqual([a, a]);
  expect(firstOf(quick, promising).get(contextOf({}))).toBeInstanceOf(Promise);
});

test("a tracker that fails makes it fail", async () => {
  const failing = noted(nothing, { get: () => Promise.reject(new Error("no keys")) }).tracker;
  await expect(firstOf(noted(a).tracker, failing).get(contextOf({}))).rejects.toThrow("no keys");
});

test("a socket's first message is passed on to all", async () => {
  const [one, two] = [noted(nothing), noted(nothing)];
  await firstOf(one.tracker, two.tracker).get(contextOf({}), "token");
  expect([one.calls, two.calls]).toEqual([["get token"], ["get token"]]);
});

describe("writes go", () => {
  const writtenTo = async (results: readonly (PresentedToken | undefined)[], read = true) => {
    const all = results.map((result) => noted(result));
    const tracker = firstOf(...all.map((one) => one.tracker));
    const ctx = contextOf({});
    if (read) await tracker.get(ctx);
    await tracker.set(ctx, "new", recordOf(), 1000);
    await tracker.clear(ctx);
    return all.map(({ calls }) => calls.filter((call) => !call.startsWith("get")));
  };
  const both = ["set new 1000", "clear"];

  test("to the tracker that brought the id", async () => {
    expect(await writtenTo([nothing, a])).toEqual([[], both]);
  });

  test("to the tracker whose token was admitted, though another brought a dead one", async () => {
    const [dead, live] = [noted(b), noted(a)];
    const tracker = firstOf(dead.tracker, live.tracker);
    const ctx = contextOf({});
    const [, token = a] = await tracker.get(ctx);
    tracker.admit?.(ctx, token, recordOf(), found);
    await tracker.set(ctx, "new", recordOf());
    expect([dead.calls, live.calls].flat()).toEqual([
      "get undefined",
      "get undefined",
      "set new undefined",
    ]);
    expect(live.calls).toContain("set new undefined");
  });

  test("to all that brought an id, if two are in conflict", async () => {
    expect(await writtenTo([b, a])).toEqual([both, both]);
  });

  test("to the first, and are cleared where something was refused", async () => {
    expect(await writtenTo([nothing, bad])).toEqual([["set new 1000"], ["clear"]]);
  });

  test("to all that brought it", async () => {
    expect(await writtenTo([nothing, a, a])).toEqual([[], both, both]);
  });

  test("to the first if nothing came", async () => {
    expect(await writtenTo([nothing, nothing])).toEqual([both, []]);
  });

  test("to the first before anything was read", async () => {
    expect(await writtenTo([nothing, a], false)).toEqual([both, []]);
  });

  test("by the last reading of the request", async () => {
    const first = noted(nothing);
    const second = noted(nothing, { get: (_ctx, text) => (text === "token" ? [a] : []) });
    const tracker = firstOf(first.tracker, second.tracker);
    const ctx = contextOf({});
    await tracker.get(ctx, "token");
    await tracker.get(ctx);
    await tracker.clear(ctx);
    expect(first.calls).toContain("clear");
    expect(second.calls).not.toContain("clear");
  });

  test("apart for every request", async () => {
    const second = noted(a);
    const tracker = firstOf(noted(nothing).tracker, second.tracker);
    await tracker.get(contextOf({}));
    await tracker.clear(contextOf({}));
    expect(second.calls).not.toContain("clear");
  });

  test("and fail if one fails", async () => {
    const failing = noted(a, { set: () => Promise.reject(new Error("no room")) }).tracker;
    const tracker = firstOf(noted(nothing).tracker, failing);
    const ctx = contextOf({});
    await tracker.get(ctx);
    await expect(tracker.set(ctx, "new", recordOf())).rejects.toThrow("no room");
  });
});

describe("a session is admitted", () => {
  const refuse = { admit: () => ({ status: "refuse", reason: "revoked" }) as const };

  test("by the tracker that brought its id", async () => {
    const tracker = firstOf(noted(nothing).tracker, noted(a, refuse).tracker);
    const ctx = contextOf({});
    await tracker.get(ctx);
    expect(tracker.admit?.(ctx, a, recordOf(), found)).toEqual({
      status: "refuse",
      reason: "revoked",
    });
  });

  test("if that tracker has nothing to say", async () => {
    const tracker = firstOf(noted(nothing, refuse).tracker, noted(a).tracker);
    const ctx = contextOf({});
    await tracker.get(ctx);
    expect(tracker.admit?.(ctx, a, recordOf(), found)).toEqual({ status: "accept" });
  });

  test("with the very object that the tracker gave", async () => {
    const judged: PresentedToken[] = [];
    const admit: Tracker["admit"] = (_ctx, tracked, _record, where) => {
      expect(where).toBe(found);
      judged.push(tracked);
      return { status: "accept" };
    };
    const tracker = firstOf(noted(nothing).tracker, noted(a, { admit }).tracker);
    const ctx = contextOf({});
    const [token] = await tracker.get(ctx);
    if (token) tracker.admit?.(ctx, token, recordOf(), found);
    expect(judged).toEqual([a]);
    expect(judged[0]).toBe(a);
  });
});

describe("for others to know", () => {
  test("it varies by what any of them does, once", () => {
    const { cookie, header, query } = trackers;
    expect(firstOf(cookie, header, query, cookieTracker({ name: "b" })).vary).toBe(
      "Cookie, Session-ID",
    );
    expect(firstOf(query, queryTracker({ name: "b" }))).not.toHaveProperty("vary");
  });

  test("it presents as the first does", async () => {
    const { cookie, header, query } = trackers;
    expect(await firstOf(header, cookie).present?.("abc", { secure: true })).toEqual({
      "session-id": "abc",
    });
    expect(firstOf(query, header)).not.toHaveProperty("present");
  });

  test("it challenges as the first that does", () => {
    const bearer = noted(nothing, { challenge: "Bearer" }).tracker;
    expect(firstOf(trackers.cookie, bearer).challenge).toBe("Bearer");
    expect(firstOf(trackers.cookie, trackers.header)).not.toHaveProperty("challenge");
  });
});

test("fewer than two trackers are refused", () => {
  expect(() => firstOf()).toThrow(new TypeError("firstOf: takes at least two trackers, got 0"));
  expect(() => firstOf(trackers.cookie)).toThrow("at least two trackers, got 1");
});

test("what is no tracker is refused", () => {
  for (const stranger of [undefined, {}, cookieTracker]) {
    expect(() => firstOf(trackers.cookie, stranger as unknown as Tracker)).toThrow(
      new TypeError("firstOf: argument 2 is no tracker: it has no get()"),
    );
  }
});
