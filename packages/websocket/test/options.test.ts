import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { type AttachUpgradeOptions, attachUpgrade, type UpgradeOptions } from "@lanai/websocket";
import Koa from "koa";
import { describe, expect, test } from "vitest";
import { appOf, siteOf } from "./site.ts";

describe("attachUpgrade", () => {
  test.each<[options: unknown, message: string]>([
    [null, "the options must be an object, got null"],
    [
      { origin: "any" },
      'there is no option "origin": its options are match, origins, handshakeTimeout, maxPayload, ' +
        "pingInterval, closeTimeout, queue",
    ],
    [{ maxBuffered: 1 }, 'there is no option "maxBuffered": write queue: { bytes }'],
    [{ overflow: "close" }, 'there is no option "overflow": write queue: { overflow }'],
    [{ perMessageDeflate: true }, 'there is no option "perMessageDeflate": compression is off'],
    [{ match: "/chat" }, "match must be a function, got string"],
    [
      { origins: "https://example.com" },
      "origins must be an array of at most 1000 origins, got string",
    ],
    [
      { origins: ["https://a.example", "https://example.com/"] },
      'origins[1] must be an origin as browsers send it, here "https://example.com", got "https://example.com/"',
    ],
    [{ origins: ["*"] }, 'origins[0] must be an origin such as "https://example.com"'],
    [
      { queue: { overflow: "wait" } },
      'queue.overflow must be "close" or "drop-oldest", got "wait"',
    ],
    [{ queue: { size: 1 } }, 'there is no option "queue.size": its options are queue.limit'],
    [{ maxPayload: "1" }, "maxPayload must be an integer of bytes from 1"],
  ])("%j is a TypeError", (options, message) => {
    const attach = () => attachUpgrade(createServer(), new Koa(), options as AttachUpgradeOptions);
    expect(attach).toThrow(TypeError);
    expect(attach).toThrow(`attachUpgrade: ${message}`);
  });

  test.each<[name: string, unit: string, most?: number]>([
    ["handshakeTimeout", "milliseconds"],
    ["maxPayload", "bytes"],
    ["pingInterval", "milliseconds"],
    ["closeTimeout", "milliseconds"],
    ["queue.limit", "messages", 1_000_000],
    ["queue.bytes", "bytes"],
  ])("%s must be an integer of %s from 1", (name, unit, most = 2 ** 31 - 1) => {
    const [outer = "", inner] = name.split(".");
    const attach = (value: unknown) =>
      attachUpgrade(createServer(), new Koa(), {
        [outer]: inner === undefined ? value : { [inner]: value },
      });
    for (const value of [0, -1, 1.5, NaN, most + 1]) {
      expect(() => attach(value)).toThrow(RangeError);
      expect(() => attach(value)).toThrow(
        `attachUpgrade: ${name} must be an integer of ${unit} from 1 to ${most}`,
      );
    }
    for (const value of [1, most]) attach(value);
  });

  test("close refuses a wrong option", async () => {
    const upgrades = attachUpgrade(createServer(), new Koa());
    for (const over of [-1, NaN, 2 ** 31]) {
      await expect(upgrades.close({ over })).rejects.toThrow(RangeError);
    }
    await expect(upgrades.close({ within: 1 } as object)).rejects.toThrow(TypeError);
  });

  test("each option of ws is ours, or the README says why it isn't", () => {
    const source = readFileSync(
      createRequire(import.meta.url)
        .resolve("ws")
        .replace(/[^/]*$/, "lib/websocket-server.js"),
      "utf8",
    );
    const theirs = [...source.matchAll(/@param \{.*?\} \[?options\.(\w+)/g)].map(
      ([, name]) => name,
    );
    expect(theirs).toContain("maxPayload");
    const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
    const [, section = ""] = /## Options of ws\n([\s\S]*?)\n## /.exec(readme) ?? [];
    expect(theirs.filter((name) => !section.includes(`\`${name}\``))).toEqual([]);
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
    [{ protocol: "chat" }, 'there is no option "protocol": its options are protocols, queue'],
    [{ protocols: "chat" }, "protocols must be an array of different names of subprotocols"],
    [{ protocols: ["a b"] }, "protocols must be an array of different names of subprotocols"],
    [{ protocols: ["a", "a"] }, "protocols must be an array of different names of subprotocols"],
    [{ queue: { bytes: 0 } }, "queue.bytes must be an integer of bytes from 1"],
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
