import { type SseOptions, sse } from "@lanai/sse";
import Koa from "koa";
import { describe, expect, test } from "vitest";
import { appWith, siteOf } from "./site.ts";

describe("sse", () => {
  test.each<[options: unknown, message: string]>([
    [null, "the options must be an object, got object"],
    [
      { keepAlive: 1 },
      'there is no option "keepAlive": its options are heartbeat, retry, maxBuffered, overflow, ' +
        "lastEventIdQuery, closeTimeout",
    ],
    [{ overflow: "wait" }, 'overflow must be "close" or "drop-oldest", got "wait"'],
    [{ lastEventIdQuery: true }, "lastEventIdQuery must be a name or false, got boolean"],
    [{ lastEventIdQuery: "" }, "lastEventIdQuery must be a name or false, got string"],
  ])("%j is a TypeError", (options, message) => {
    const make = () => sse(options as SseOptions);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(`sse: ${message}`);
  });

  test.each([
    ["heartbeat", "milliseconds", 1],
    ["retry", "milliseconds", 0],
    ["maxBuffered", "bytes", 1],
    ["closeTimeout", "milliseconds", 1],
  ])("%s must be a whole number of %s from %i", (name, unit, least) => {
    for (const value of [least - 1, 1.5, NaN, 2 ** 31, "1"]) {
      const make = () => sse({ [name]: value });
      expect(make).toThrow(RangeError);
      expect(make).toThrow(
        `sse: ${name} must be a whole number of ${unit} from ${least} to 2147483647, got ${value}`,
      );
    }
    sse({ [name]: least });
  });

  test("heartbeat may be Infinity", () => {
    sse({ heartbeat: Infinity });
  });
});

test.each<[args: unknown[], message: string]>([
  [[undefined, { lastEventIdQuery: "x" }], 'ctx.sse: there is no option "lastEventIdQuery"'],
  [[undefined, { heartbeat: 0 }], "ctx.sse: heartbeat must be a whole number"],
  [[{ retry: 1 }], "ctx.sse: the source must be an async iterable, got object"],
  [[null], "ctx.sse: the source must be an async iterable, got object"],
  [[[1]], "ctx.sse: the source must be an async iterable, got object"],
])("ctx.sse(%j) is an error, and a 500", async (args, message) => {
  const app = appWith(Koa, sse(), async (ctx) => {
    await ctx.sse(...(args as Parameters<typeof ctx.sse>));
  });
  await using site = await siteOf(app);
  expect((await fetch(site.url)).status).toBe(500);
  expect(String(site.errors[0])).toContain(message);
});
