import { createServer } from "node:http";
import { type AttachUpgradeOptions, attachUpgrade, type UpgradeOptions } from "@lanai/websocket";
import Koa from "koa";
import { describe, expect, test } from "vitest";
import { appOf, siteOf } from "./site.ts";

describe("attachUpgrade", () => {
  test.each<[options: unknown, message: string]>([
    [null, "the options must be an object, got object"],
    [
      { origin: "any" },
      'there is no option "origin": its options are match, origins, handshakeTimeout, maxPayload, ' +
        "pingInterval, closeTimeout, maxBuffered, overflow",
    ],
    [{ match: "/chat" }, "match must be a function, got string"],
    [{ origins: "https://example.com" }, 'origins must be an array or "any", got string'],
    [
      { origins: ["https://example.com/"] },
      'origins must hold origins such as "https://example.com", got "https://example.com/"',
    ],
    [{ origins: ["*"] }, 'origins must hold origins such as "https://example.com", got "*"'],
    [{ overflow: "wait" }, 'overflow must be "close" or "drop-oldest", got "wait"'],
  ])("%j is a TypeError", (options, message) => {
    const attach = () => attachUpgrade(createServer(), new Koa(), options as AttachUpgradeOptions);
    expect(attach).toThrow(TypeError);
    expect(attach).toThrow(`attachUpgrade: ${message}`);
  });

  test.each([
    ["handshakeTimeout", "milliseconds"],
    ["maxPayload", "bytes"],
    ["pingInterval", "milliseconds"],
    ["closeTimeout", "milliseconds"],
    ["maxBuffered", "bytes"],
  ])("%s must be a whole number from 1", (name, unit) => {
    for (const value of [0, -1, 1.5, NaN, 2 ** 31, "1"]) {
      const attach = () => attachUpgrade(createServer(), new Koa(), { [name]: value });
      expect(attach).toThrow(RangeError);
      expect(attach).toThrow(
        `attachUpgrade: ${name} must be a whole number of ${unit} from 1 to 2147483647, got ${value}`,
      );
    }
    attachUpgrade(createServer(), new Koa(), { [name]: 1 });
  });

  test("is not changed by what happens to its options afterwards", async () => {
    const options = { origins: ["https://example.com"], maxPayload: 100 };
    await using site = await siteOf(
      appOf(() => {}),
      options,
    );
    options.origins.push("https://evil.example");
    const refusal = await site.refusal("/", { origin: "https://evil.example" });
    expect(refusal.status).toBe(403);
  });
});

describe("ctx.upgrade", () => {
  test.each<[options: unknown, message: string]>([
    ["chat", "the options must be an object, got string"],
    [
      { protocol: "chat" },
      'there is no option "protocol": its options are protocols, maxBuffered, overflow',
    ],
    [{ protocols: "chat" }, "protocols must be an array of names of subprotocols"],
    [{ protocols: ["a b"] }, "protocols must be an array of names of subprotocols"],
    [{ maxBuffered: 0 }, "maxBuffered must be a whole number of bytes from 1"],
  ])("%j is an error, and a 500", async (options, message) => {
    const app = new Koa();
    app.silent = true;
    app.use(async (ctx) => {
      await ctx.upgrade(options as UpgradeOptions);
    });
    await using site = await siteOf(app);
    expect((await site.refusal()).status).toBe(500);
    expect(String(site.errors[0])).toContain(`ctx.upgrade: ${message}`);
  });
});
