import { type SseOptions, sse } from "@lanai/sse";
import Koa from "koa";
import { describe, expect, test } from "vitest";
import { appWith, siteOf } from "./site.ts";

describe("sse", () => {
  test.each<[options: unknown, message: string]>([
    [null, "the options must be an object, got null"],
    [
      { keepAlive: 1 },
      'there is no option "keepAlive": its options are heartbeat, retry, lifetime, queue, ' +
        "lastEventIdQuery, closeTimeout",
    ],
    [{ maxBuffered: 1 }, 'there is no option "maxBuffered": write queue: { bytes }'],
    [{ overflow: "close" }, 'there is no option "overflow": write queue: { overflow }'],
    [
      { queue: { overflow: "wait" } },
      'queue.overflow must be "close" or "drop-oldest", got "wait"',
    ],
    [{ queue: { size: 1 } }, 'there is no option "queue.size": its options are queue.limit'],
    [{ lastEventIdQuery: true }, "lastEventIdQuery must be a name or false, got boolean"],
    [{ lastEventIdQuery: "" }, "lastEventIdQuery must be a name or false, got an empty string"],
    [{ heartbeat: "1" }, "heartbeat must be an integer of milliseconds from 1"],
  ])("%j is a TypeError", (options, message) => {
    const make = () => sse(options as SseOptions);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(`sse: ${message}`);
  });

  test.each<[name: string, unit: string, least: number, most?: number]>([
    ["heartbeat", "milliseconds", 1],
    ["retry", "milliseconds", 0],
    ["lifetime", "milliseconds", 1],
    ["queue.limit", "events", 1, 1_000_000],
    ["queue.bytes", "bytes", 1],
    ["closeTimeout", "milliseconds", 1],
  ])("%s must be an integer of %s from %i", (name, unit, least, most = 2 ** 31 - 1) => {
    const optionsOf = (value: unknown): SseOptions => {
      const [outer = "", inner] = name.split(".");
      return { [outer]: inner === undefined ? value : { [inner]: value } };
    };
    for (const value of [least - 1, 1.5, NaN, most + 1]) {
      const make = () => sse(optionsOf(value));
      expect(make).toThrow(RangeError);
      expect(make).toThrow(`sse: ${name} must be an integer of ${unit} from ${least} to ${most}`);
    }
    for (const value of [least, most]) sse(optionsOf(value));
  });

  test("heartbeat and lifetime may be Infinity", () => {
    sse({ heartbeat: Infinity, lifetime: Infinity });
  });

  test("close refuses a wrong option", async () => {
    for (const over of [-1, NaN, 2 ** 31]) {
      await expect(sse().close({ over })).rejects.toThrow(RangeError);
    }
    await expect(sse().close({ within: 1 } as object)).rejects.toThrow(TypeError);
  });
});

test.each<[args: unknown[], message: string]>([
  [[undefined, { lastEventIdQuery: "x" }], 'ctx.sse: there is no option "lastEventIdQuery"'],
  [[undefined, { heartbeat: 0 }], "ctx.sse: heartbeat must be an integer"],
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
