import { createSessions, memoryStore, type SessionsOptions, sealedStore } from "@lanai/session";
import Koa from "koa";
import { describe, expect, onTestFinished, test } from "vitest";
import { browserName } from "../src/devices/browser-name.ts";
import { networkOf, plainAddress } from "../src/devices/network.ts";
import { Browser, serve } from "./http.ts";
import { keyOf } from "./site.ts";
import { watchedStore } from "./watched-store.ts";

const WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)";
const APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko)";

/** Headers as these browsers send them. */
const HEADERS: readonly (readonly [string | undefined, string])[] = [
  ["Firefox on Linux", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"],
  [
    "Firefox on Windows",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
  ],
  [
    "Firefox on macOS",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0",
  ],
  ["Firefox on Android", "Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0"],
  [
    "Firefox on iPhone",
    `Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) ${APPLE} FxiOS/145.0 Mobile/15E148 Safari/605.1.15`,
  ],
  ["Chrome on Linux", `Mozilla/5.0 (X11; Linux x86_64) ${WEBKIT} Chrome/142.0.0.0 Safari/537.36`],
  [
    "Chrome on Windows",
    `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${WEBKIT} Chrome/142.0.0.0 Safari/537.36`,
  ],
  [
    "Chrome on macOS",
    `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${WEBKIT} Chrome/142.0.0.0 Safari/537.36`,
  ],
  [
    "Chrome on Android",
    `Mozilla/5.0 (Linux; Android 10; K) ${WEBKIT} Chrome/142.0.0.0 Mobile Safari/537.36`,
  ],
  [
    "Chrome on iPhone",
    `Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) ${APPLE} CriOS/142.0.7444.77 Mobile/15E148 Safari/604.1`,
  ],
  [
    "Chrome on ChromeOS",
    `Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) ${WEBKIT} Chrome/142.0.0.0 Safari/537.36`,
  ],
  [
    "Chrome on Linux",
    `Mozilla/5.0 (X11; Linux x86_64) ${WEBKIT} HeadlessChrome/142.0.0.0 Safari/537.36`,
  ],
  [
    "Chromium on Linux",
    `Mozilla/5.0 (X11; Linux x86_64) ${WEBKIT} Ubuntu Chromium/81.0.4044.138 Chrome/81.0.4044.138 Safari/537.36`,
  ],
  [
    "Edge on Windows",
    `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${WEBKIT} Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0`,
  ],
  [
    "Edge on Android",
    `Mozilla/5.0 (Linux; Android 10; HD1913) ${WEBKIT} Chrome/142.0.0.0 Mobile Safari/537.36 EdgA/142.0.0.0`,
  ],
  [
    "Edge on iPhone",
    `Mozilla/5.0 (iPhone; CPU iPhone OS 18_6_2 like Mac OS X) ${APPLE} Version/18.0 EdgiOS/142.0.3595.66 Mobile/15E148 Safari/605.1.15`,
  ],
  [
    "Opera on Windows",
    `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${WEBKIT} Chrome/142.0.0.0 Safari/537.36 OPR/124.0.0.0`,
  ],
  [
    "Vivaldi on Linux",
    `Mozilla/5.0 (X11; Linux x86_64) ${WEBKIT} Chrome/142.0.0.0 Safari/537.36 Vivaldi/7.7.3851.52`,
  ],
  [
    "Samsung Internet on Android",
    `Mozilla/5.0 (Linux; Android 10; K) ${WEBKIT} SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36`,
  ],
  [
    "Safari on macOS",
    `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${APPLE} Version/26.0 Safari/605.1.15`,
  ],
  [
    "Safari on iPhone",
    `Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) ${APPLE} Version/26.0 Mobile/15E148 Safari/604.1`,
  ],
  [
    "Safari on iPad",
    `Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) ${APPLE} Version/26.0 Mobile/15E148 Safari/604.1`,
  ],
  [
    "DuckDuckGo on iPhone",
    `Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) ${APPLE} Version/18.6 Mobile/15E148 DuckDuckGo/7 Safari/605.1.15`,
  ],
  [undefined, "curl/8.14.1"],
  [undefined, "node"],
  [undefined, "python-requests/2.32.5"],
  [undefined, "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"],
  [undefined, "Dalvik/2.1.0 (Linux; U; Android 15; Pixel 9 Build/AP4A.250205.002)"],
  [
    undefined,
    "Mozilla/5.0 (PlayStation; PlayStation 5/2.26) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0 Safari/605.1.15",
  ],
  [undefined, ""],
  [undefined, `Mozilla/5.0 (X11; Linux x86_64) Firefox/1${"0".repeat(600)}`],
];

describe("the name of a browser", () => {
  test.each(HEADERS)("is %s for %s", (name, header) => {
    expect(browserName(header)).toBe(name);
  });
});

describe("the network of an address", () => {
  test.each([
    ["192.0.2.77", "192.0.2.0/24"],
    ["::ffff:192.0.2.77", "192.0.2.0/24"],
    ["::FFFF:c000:024d", "192.0.2.0/24"],
    ["0:0:0:0:0:ffff:c000:24d", "192.0.2.0/24"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"],
    ["2001:0DB8::1", "2001:db8::/48"],
    ["2001:db8:0:1::", "2001:db8::/48"],
    ["fe80::1%eth0", "fe80::/48"],
    ["::1", "::/48"],
    ["1:2:3:4:5:6:7::", "1:2:3::/48"],
    ["::2:3:4:5:6:7:8", "0:2:3::/48"],
    ["64:ff9b::192.0.2.33", "64:ff9b::/48"],
  ])("%s is %s", (address, network) => {
    expect(networkOf(address)).toBe(network);
  });

  test.each(["", "unknown", "192.0.2", "1:2", "192.0.2.1:80", "<b>", "_hidden"])(
    "is unknown for %j, which is no address",
    (address) => {
      expect([networkOf(address), plainAddress(address)]).toEqual([undefined, undefined]);
    },
  );

  test("an address that is kept whole has one form", () => {
    expect(["::ffff:192.0.2.77", "2001:0DB8::1"].map(plainAddress)).toEqual([
      "192.0.2.77",
      "2001:db8::1",
    ]);
  });
});

const LINUX = HEADERS[0]?.[1] ?? "";
const WINDOWS = HEADERS[1]?.[1] ?? "";

async function start(options: SessionsOptions = {}, proxy = true) {
  const watched = watchedStore(options.store);
  const sessions = createSessions({ ...options, store: watched.store });
  const app = new Koa({ proxy });
  app.silent = true;
  app.use(sessions.middleware());
  app.use((ctx) => {
    const { session, path, query } = ctx;
    if (path === "/in") session.login("ada");
    if (path === "/again") session.reauthenticate();
    if (path === "/label") session.labelDevice(String(query.label));
    ctx.body = session.userId ?? "nobody";
  });
  const served = await serve(app);
  onTestFinished(() => served[Symbol.asyncDispose]());
  const browser = new Browser(served);
  const ask = (path: string, agent = LINUX, address = "192.0.2.77") =>
    browser.request(path, { headers: { "User-Agent": agent, "X-Forwarded-For": address } });
  const devices = async () => {
    const all = await sessions.list({ user: "ada" });
    return all.map(({ browser: name, label, address }) => ({ browser: name, label, address }));
  };
  return { ...watched, sessions, browser, ask, devices };
}

describe("a session's device", () => {
  test("is written at the sign-in, in its commit, and on no other request", async () => {
    const { ask, devices, calls } = await start();
    await ask("/in");
    expect(calls).toEqual(["create"]);
    expect(await devices()).toEqual([
      { browser: "Firefox on Linux", label: undefined, address: undefined },
    ]);
    calls.length = 0;
    await ask("/", WINDOWS, "198.51.100.1");
    expect(calls).toEqual(["load"]);
    expect(await devices()).toMatchObject([{ browser: "Firefox on Linux" }]);
    await ask("/again", WINDOWS);
    expect(await devices()).toMatchObject([{ browser: "Firefox on Windows" }]);
    await ask("/again", "curl/8.14.1");
    expect(await devices()).toMatchObject([{ browser: undefined }]);
  });

  test("is listed in one call of the store, which returns none of the app's values", async () => {
    const memory = memoryStore();
    const asked: unknown[] = [];
    const store = Object.assign(Object.create(memory) as typeof memory, {
      list: async (owner: string, options: object) => {
        const records = memory.list(owner, options);
        asked.push(records.map((it) => [...it.values.keys()].sort()));
        return records;
      },
    });
    const { sessions } = await start({ store });
    const { session } = await sessions.create({ userId: "ada", values: { secret: "x" } });
    session.labelDevice("desk");
    await session.commit();
    expect(await sessions.list({ user: "ada" })).toMatchObject([{ label: "desk", isBound: false }]);
    expect(asked).toEqual([[["device:label", "s:user"]]]);
  });

  test.each([
    [true, "192.0.2.0/24"],
    ["network", "192.0.2.0/24"],
    [false, undefined],
    ["whole", "192.0.2.77"],
  ] as const)("has the address only if the app asks: %s", async (address, kept) => {
    const { ask, devices } = await start({ devices: { address } });
    await ask("/in", LINUX, "::ffff:192.0.2.77");
    expect(await devices()).toMatchObject([{ address: kept }]);
    await ask("/again", LINUX, "<script>");
    expect(await devices()).toMatchObject([{ address: undefined }]);
  });

  test("has the name that the app's own function returns, at most 64 characters of it", async () => {
    const names = ["🦊".repeat(80), "a\u0000b", "", undefined, " Lynx "];
    const { ask, devices } = await start({ devices: { browser: () => names.shift() } });
    const seen = [];
    await ask("/in");
    for (let left = names.length; left >= 0; left--) {
      seen.push((await devices())[0]?.browser);
      if (left > 0) await ask("/again");
    }
    expect(seen).toEqual(["🦊".repeat(64), undefined, undefined, undefined, "Lynx"]);
  });

  test("keeps its label over a re-authentication and another sign-in of the user", async () => {
    const { ask, devices } = await start();
    await ask("/in");
    await ask("/label?label=%20desk%20");
    await ask("/again");
    await ask("/in");
    expect(await devices()).toMatchObject([{ label: "desk" }]);
    await ask("/label?label=");
    expect(await devices()).toMatchObject([{ label: undefined }]);
  });

  test("is not labelled by a visitor who isn't signed in, which stores nothing", async () => {
    const { ask, calls } = await start();
    expect((await ask("/label?label=desk")).status).toBe(401);
    expect(calls).toEqual([]);
  });

  test("that nobody of ours wrote is unknown, and the list goes on", async () => {
    const memory = memoryStore();
    const { sessions } = await start({ store: memory });
    const texts = [
      '{"v":2,"browser":"x"}',
      '{"v":1,"browser":{}}',
      "null",
      "[",
      '"x"',
      "",
      '"\\ud800"',
    ];
    for (const text of texts) {
      const { session } = await sessions.create({ userId: "ada" });
      memory.commit(keyOf(session.id ?? ""), {
        operation: text,
        set: new Map([
          ["device:sign-in", text],
          ["device:label", text === '"x"' ? "7" : text],
        ]),
      });
    }
    const all = await sessions.list({ user: "ada" });
    expect(all.map((it) => [it.browser, it.label])).toEqual(
      texts.map(() => [undefined, undefined]),
    );
  });

  test("isn't kept in a store that can't list", async () => {
    const store = sealedStore({ keys: ["k".repeat(32)], context: "devices" });
    const { ask, calls } = await start({ store, devices: { browser: () => expect.unreachable() } });
    expect((await ask("/in")).status).toBe(200);
    expect(calls).toContain("create");
  });
});

test.each([
  { devices: { address: "all" } },
  { devices: { browser: "x" } },
  { devices: { name: 1 } },
])("an option that can't be is refused at construction: %j", (options) => {
  expect(() => createSessions(options as never)).toThrow(/devices\./);
});
