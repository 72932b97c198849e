import {
  checkOrigins,
  isSerialisedOrigin,
  mismatchAmong,
  mismatchOf,
  originOf,
  shownHeader,
} from "@lanai/connection/origin";
import { describe, expect, test } from "vitest";
import { PROXIES } from "../../../scripts/testing/proxies.ts";

describe("originOf", () => {
  test.each([
    ["http", "app.example", "http://app.example"],
    ["https", "APP.example:443", "https://app.example"],
    ["HTTPS", "app.example", "https://app.example"],
    ["http", "app.example:80", "http://app.example"],
    ["http", "app.example:443", "http://app.example:443"],
    ["http", "app.example.", "http://app.example."],
    ["http", "[::1]:8080", "http://[::1]:8080"],
    ["http", "[0:0:0:0:0:0:0:1]", "http://[::1]"],
    ["https", "xn--bcher-kva.example", "https://xn--bcher-kva.example"],
  ])("of %s and %s is %s", (protocol, host, origin) => {
    expect(originOf(protocol, host)).toBe(origin);
  });

  test.each([
    ["http", ""],
    ["http", "a/b"],
    ["http", "user@a"],
    ["http", "a?b"],
    ["http", "a#b"],
    ["http", "a\\b"],
    ["http", "a b"],
    ["http", "a, b"],
    ["http", "*.example"],
    ["http", "a:99999"],
    ["http", "[::1"],
    ["file", ""],
    ["foo", "a"],
    ["javascript", "a"],
    ["null", "null"],
    ["http://a/?", "b"],
  ])("of %s and %s is undefined, which equals no origin", (protocol, host) => {
    expect(originOf(protocol, host)).toBeUndefined();
  });
});

const APPS = [
  "capacitor://localhost",
  "ionic://localhost",
  "tauri://localhost",
  "app://obsidian.md",
  "app://-",
  "file://",
  "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
  "moz-extension://1b2c3d4e-0000-4000-8000-123456789abc",
  "safari-web-extension://1B2C3D4E-0000-4000-8000-123456789ABC",
  "vscode-webview://1abc",
];

describe("a list of origins", () => {
  test("accepts every serialised origin, an app's own scheme included", () => {
    const web = ["https://app.example", "http://localhost:8100", "http://[::1]:3000"];
    expect([...APPS, ...web].filter((it) => !isSerialisedOrigin(it))).toEqual([]);
    checkOrigins("f", [...APPS, ...web], false);
    checkOrigins("f", [], false);
    checkOrigins("f", ["null"], true);
  });

  test.each([
    ["https://app.example/", "https://app.example"],
    ["HTTPS://App.example", "https://app.example"],
    ["https://app.example:443", "https://app.example"],
    ["https://app.example/path?x#y", "https://app.example"],
    ["wss://app.example", "https://app.example"],
    ["ws://app.example:8080", "http://app.example:8080"],
    ["https://bücher.example", "https://xn--bcher-kva.example"],
    ["https://user:pass@app.example", "https://app.example"],
  ])("refuses %s and says %s", (given, meant) => {
    const check = () => checkOrigins("f", ["https://ok.example", given], false);
    expect(check).toThrow(TypeError);
    expect(check).toThrow(`f: origins[1] must be an origin as browsers send it, here "${meant}"`);
  });

  test.each([
    "*",
    "https://*.example",
    "app.example",
    "//app.example",
    "data:,x",
    "",
    "null",
    "capacitor://localhost/",
    "app://a,b",
    "https://a.example, https://b.example",
    `app://${"a".repeat(600)}`,
    7,
    null,
    undefined,
    {},
  ])("refuses %j", (given) => {
    expect(() => checkOrigins("f", [given], false)).toThrow(TypeError);
  });

  test.each([[undefined], ["https://a.example"], [{}], [Array(1_001).fill("https://a.example")]])(
    "is an array: not %j",
    (given) => {
      expect(() => checkOrigins("f", given, false)).toThrow("f: origins must be an array");
    },
  );
});

describe("mismatchOf", () => {
  test.each(PROXIES.filter(({ loses }) => loses))("$name loses the $loses", (proxy) => {
    const { Host = "", "X-Forwarded-Proto": protocol = "http" } = proxy.request;
    expect(mismatchOf(proxy.origin, originOf(protocol, Host)).cause).toBe(proxy.loses);
  });

  test("knows a page without an origin, and takes what is no URL for another site", () => {
    expect(mismatchOf("null", "http://a").cause).toBe("null");
    for (const origin of ["", "no origin", "http://", "http://a, http://b"]) {
      expect(mismatchOf(origin, "http://a").cause).toBe("host");
      expect(mismatchOf(origin, undefined).cause).toBe("host");
    }
  });
});

test("a header is shown in at most 256 printable characters", () => {
  expect(shownHeader(`a\u0000\n\u00e9${"x".repeat(500)}`)).toBe(`a???${"x".repeat(252)}`);
});

test("mismatchAmong compares with the accepted origin of the same host", () => {
  const accepted = ["https://b.example", "https://a.example"];
  expect(mismatchAmong("http://a.example", accepted).cause).toBe("scheme");
  expect(mismatchAmong("http://c.example", accepted).cause).toBe("host");
  expect(mismatchAmong("null", accepted).cause).toBe("null");
  expect(mismatchAmong("http://c.example", []).cause).toBe("host");
});
