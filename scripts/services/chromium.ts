/// <reference path="./dom.d.ts" />
import { type Browser, chromium } from "playwright-core";
import { programPath } from "../servers.js";

/**
 * A private Chromium without a window, which reaches nothing but loopback: `127.0.0.1`, `localhost`
 * and the names under `.localhost`. `await using` closes it; `browser.newContext()` is a visitor of
 * their own, with their own cookies. With `backForwardCache` pages that are left are kept, as users
 * have it and Playwright doesn't.
 */
export const startChromium = ({ backForwardCache = false } = {}): Promise<Browser> =>
  chromium.launch({
    ...(backForwardCache && { ignoreDefaultArgs: ["--disable-back-forward-cache"] }),
    executablePath: programPath("chromium"),
    // As root Chromium runs only without its sandbox; the pages are our own.
    chromiumSandbox: process.getuid?.() !== 0,
    args: [
      "--disable-background-networking",
      "--no-proxy-server",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE *.localhost",
    ],
  });
