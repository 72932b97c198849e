import { execFileSync } from "node:child_process";
import { existsSync, globSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startChromium } from "../services/chromium.ts";
import { deckOf, isLong, randomFrom, seed } from "../testing/chance.ts";

const root = join(import.meta.dirname, "../..");
const dist = join(root, "site/dist");
const KINDS: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".woff2": "font/woff2",
  ".txt": "text/plain; charset=utf-8",
};

let browser: Browser;
let server: Server;
let origin: string;

beforeAll(async () => {
  rmSync(dist, { recursive: true, force: true });
  execFileSync(process.execPath, [join(root, "scripts/docs.js")], { cwd: root, stdio: "pipe" });
  server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://site").pathname;
    const file = join(dist, path === "/" ? "index.html" : decodeURIComponent(path));
    if (!file.startsWith(dist) || !existsSync(file)) return response.writeHead(404).end();
    return response
      .writeHead(200, { "Content-Type": KINDS[extname(file)] ?? "application/octet-stream" })
      .end(readFileSync(file));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  browser = await startChromium();
});

afterAll(async () => {
  await browser?.close();
  await new Promise((resolve) => server?.close(resolve) ?? resolve(undefined));
});

interface SitePage {
  readonly links: readonly string[];
  readonly anchors: ReadonlySet<string>;
  readonly hasHeading: boolean;
}

/** Returns the paths of all pages. */
function pagesOfSite(): string[] {
  const files = globSync("**/*.html", { cwd: dist }).filter((file) => file !== "404.html");
  expect(files.length).toBeGreaterThan(50);
  return files.map((file) => `/${file}`);
}

/** Reads a page as it was built. */
function pageAt(path: string): SitePage {
  const html = readFileSync(join(dist, path), "utf8");
  const all = (pattern: RegExp) =>
    [...html.matchAll(pattern)].map(([, text = ""]) => text.replaceAll("&amp;", "&"));
  return {
    links: [...new Set(all(/<a\b[^>]*?\shref="([^"]*)"/g))],
    anchors: new Set(all(/\sid="([^"]*)"/g)),
    hasHeading: /<h1\b/.test(html),
  };
}

const DESK = { width: 1280, height: 720 };
const PHONE = { width: 390, height: 800 };

/** Returns by how many pixels a page is wider than its window. */
const tooWide = (page: Page): Promise<number> =>
  page.evaluate<number>(
    "document.documentElement.scrollWidth - document.documentElement.clientWidth",
  );

describe("the site", () => {
  test("every page has a heading, and every link on it leads somewhere", () => {
    const pages = new Map(pagesOfSite().map((path) => [path, pageAt(path)]));
    const broken = [...pages].flatMap(([path, { links }]) =>
      links.filter((link) => {
        const url = new URL(link, origin + path);
        if (url.origin !== origin) return false;
        const target = pages.get(url.pathname === "/" ? "/index.html" : url.pathname);
        if (target === undefined) return !existsSync(join(dist, url.pathname));
        const anchor = decodeURIComponent(url.hash.slice(1));
        return anchor !== "" && !target.anchors.has(anchor);
      }),
    );
    expect(broken).toEqual([]);
    expect([...pages].filter(([, page]) => !page.hasHeading).map(([path]) => path)).toEqual([]);
  });

  test("pages open without an error, and none is wider than a phone", async () => {
    const troubles: string[] = [];
    const page = await browser.newPage({ viewport: DESK });
    page.on("pageerror", (error) => troubles.push(`${page.url()}: ${error.message}`));
    page.on("console", (message) => {
      if (message.type() === "error") troubles.push(`${page.url()}: ${message.text()}`);
    });
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(origin) && !url.startsWith("data:")) {
        troubles.push(`${page.url()} asks for ${url}`);
      }
    });

    // The long form opens all of them, the short one a third, by chance.
    const paths = pagesOfSite();
    const deal = deckOf(paths, randomFrom(seed));
    const count = isLong ? paths.length : Math.ceil(paths.length / 3);
    for (const path of Array.from({ length: count }, deal)) {
      const response = await page.goto(origin + path, { waitUntil: "load" });
      expect(response?.status(), path).toBe(200);
      expect(await page.locator("h1").count(), `${path} has a heading`).toBeGreaterThan(0);
      await page.setViewportSize(PHONE);
      const wider = await tooWide(page);
      if (wider > 0) troubles.push(`${path} is ${wider} px wider than a phone`);
      await page.setViewportSize(DESK);
    }
    await page.close();
    expect(troubles).toEqual([]);
  });

  test("llms.txt lists the pages of the navigation, and llms-full.txt holds their text", () => {
    const [list = "", full = ""] = ["llms.txt", "llms-full.txt"].map((file) =>
      readFileSync(join(dist, file), "utf8"),
    );
    const listed = [...list.matchAll(/^- \[.+?\]\((\/.+?)\): (.+)$/gm)];
    expect(listed.length).toBeGreaterThan(50);
    for (const [, path = ""] of listed) expect(existsSync(join(dist, path)), path).toBe(true);
    for (const title of ["# Getting started", "# @lanai/flash", "# API of @lanai/session"]) {
      expect(full).toContain(`${title}\n`);
    }
  });

  test("the search finds a page by its words, and leads to it", async () => {
    const page = await browser.newPage();
    await page.goto(`${origin}/getting-started.html`);
    await page.locator(".VPNavBarSearch button").first().click();
    await page.locator("#localsearch-input").fill("sealedStore");
    const first = page.locator("#localsearch-list a").first();
    await first.waitFor();
    expect(await first.textContent()).toContain("sealedStore");
    await page.close();
  });

  test.each(["light", "dark"] as const)(
    "a phone shows the first page in %s",
    async (colorScheme) => {
      const page = await browser.newPage({ colorScheme, viewport: PHONE });
      await page.goto(origin);
      expect(await tooWide(page)).toBe(0);
      const isDark = await page.evaluate<boolean>(
        'document.documentElement.classList.contains("dark")',
      );
      expect(isDark).toBe(colorScheme === "dark");
      await page.close();
    },
  );
});
