import { queryTracker } from "@lanai/session";
import { trackerConformance } from "@lanai/session/testing";
import { describe, expect, test } from "vitest";
import { contextOf, found, recordOf } from "./tracker-context.ts";

for (const name of ["sid", "__proto__"]) {
  trackerConformance({
    name: `queryTracker, ${name}`,
    test,
    open: () => ({
      tracker: queryTracker({ name }),
      present: (id) => ({ path: `/?${name}=${id}` }),
      // The app renders the id into its links; after a logout it renders none.
      answer: (_response, sent) => ({ path: sent === undefined ? "/" : `/?${name}=${sent}` }),
    }),
  });
}

describe("get", () => {
  test.each([
    ["no query", "/", undefined],
    ["another parameter", "/?a=b", undefined],
    ["an empty parameter", "/?sid=", undefined],
    ["one parameter", "/?a=b&sid=abc", { id: "abc" }],
    ["an encoded parameter", "/?sid=%61bc", { id: "abc" }],
    ["a fragment, which is not for servers", "/?sid=abc#&sid=d", { id: "abc" }],
    ["an absolute URL", "http://example.com/?sid=abc", { id: "abc" }],
    ["two parameters", "/?sid=abc&sid=d", [{ id: "abc" }, { id: "d" }]],
    ["two equal parameters", "/?sid=abc&sid=abc", [{ id: "abc" }, { id: "abc" }]],
    ["4,097 characters", `/?sid=${"a".repeat(4097)}`, { refused: "malformed" }],
    ["4,096 characters", `/?sid=${"a".repeat(4096)}`, { id: "a".repeat(4096) }],
    ["a URL that Koa can't parse", "http://[x/?sid=abc", { id: "abc" }],
  ])("reads %s", (_what, url, tracked) => {
    expect(queryTracker().get(contextOf({ url }))).toEqual([tracked ?? []].flat());
  });

  test("reads the name that was given", () => {
    const tracker = queryTracker({ name: "token" });
    expect(tracker.get(contextOf({ url: "/?sid=a&token=b" }))).toEqual([{ id: "b" }]);
  });
});

describe("Referrer-Policy: no-referrer", () => {
  const tracker = queryTracker();

  test("is sent where an id is set", async () => {
    const ctx = contextOf({});
    await tracker.set(ctx, "abc", recordOf());
    expect(ctx.res.getHeader("Referrer-Policy")).toBe("no-referrer");
  });

  test("is sent where a session was found by its URL", () => {
    const ctx = contextOf({ url: "/?sid=abc" });
    expect(tracker.admit?.(ctx, { id: "abc" }, recordOf(), found)).toEqual({ status: "accept" });
    expect(ctx.res.getHeader("Referrer-Policy")).toBe("no-referrer");
  });

  test("leaves the app's own policy alone", async () => {
    const ctx = contextOf({});
    ctx.set("Referrer-Policy", "same-origin");
    await tracker.set(ctx, "abc", recordOf());
    expect(ctx.res.getHeader("Referrer-Policy")).toBe("same-origin");
  });
});

test("there is no header to present or to vary by", () => {
  expect(queryTracker()).not.toHaveProperty("present");
  expect(queryTracker()).not.toHaveProperty("vary");
});

test("a name that a URL would encode is refused", () => {
  for (const name of ["", "a b", "a=b", "ä", "a&b"]) {
    expect(() => queryTracker({ name })).toThrow(/^queryTracker: name must be letters, .* got "/);
  }
});

test("an option that doesn't exist is refused by name", () => {
  expect(() => queryTracker({ param: "sid" } as object)).toThrow(
    new TypeError('queryTracker: there is no option "param": write name'),
  );
});
