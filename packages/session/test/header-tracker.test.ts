import { headerTracker } from "@lanai/session";
import { trackerConformance } from "@lanai/session/testing";
import { describe, expect, test } from "vitest";
import { koaVersions } from "./koa-versions.ts";
import { contextOf, recordOf } from "./tracker-context.ts";

for (const [version, App] of koaVersions) {
  trackerConformance({
    name: `headerTracker, ${version}`,
    test,
    createApp: () => new App(),
    open: () => ({ tracker: headerTracker() }),
  });
}

trackerConformance({
  name: "headerTracker with a name",
  test,
  open: () => ({ tracker: headerTracker({ name: "X-Token" }) }),
});

describe("get", () => {
  test.each([
    ["no header", {}, undefined],
    ["an empty header", { "session-id": "" }, undefined],
    ["a header", { "session-id": "abc" }, { id: "abc" }],
    ["a repeated header, joined by Node", { "session-id": "a, b" }, { refused: "malformed" }],
    ["4,096 characters", { "session-id": "a".repeat(4096) }, { id: "a".repeat(4096) }],
    ["4,097 characters", { "session-id": "a".repeat(4097) }, { refused: "malformed" }],
  ])("reads %s", (_what, headers, tracked) => {
    expect(headerTracker().get(contextOf({ headers }))).toEqual([tracked ?? []].flat());
  });

  test("takes a socket's first message in place of the header", () => {
    const tracker = headerTracker();
    const ctx = contextOf({ headers: { "session-id": "header" } });
    expect(tracker.get(ctx, "message")).toEqual([{ id: "message" }]);
    expect(tracker.get(ctx, "")).toEqual([]);
  });
});

test("an id that get would refuse is not sent", () => {
  const ctx = contextOf({});
  expect(() => headerTracker().set(ctx, "a".repeat(4097), recordOf())).toThrow(
    expect.objectContaining({
      code: "ERR_SESSION_TOO_LARGE",
      message: "the header Session-ID has 4097 bytes, and 4096 are read at most",
    }),
  );
  expect(ctx.res.getHeaderNames()).toEqual([]);
});

test("clear sends an empty header", async () => {
  const ctx = contextOf({});
  await headerTracker().clear(ctx);
  expect(ctx.res.getHeader("Session-ID")).toBe("");
});

test("vary is the name", () => {
  expect(headerTracker().vary).toBe("Session-ID");
  expect(headerTracker({ name: "X-Token" }).vary).toBe("X-Token");
});

test("a name that is no token, or another's, is refused", () => {
  for (const name of ["", "a b", "a:b", "ä", "Cookie", "set-cookie", "AUTHORIZATION"]) {
    expect(() => headerTracker({ name })).toThrow(
      `headerTracker: name must be a token of RFC 9110 other than Cookie, Set-Cookie and Authorization, got "${name}"`,
    );
  }
});

test("an option that doesn't exist is refused by name", () => {
  expect(() => headerTracker({ header: "X-Token" } as object)).toThrow(
    new TypeError('headerTracker: there is no option "header": write name'),
  );
});
