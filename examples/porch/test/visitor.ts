import axe from "axe-core";
import type { Browser, BrowserContext, BrowserContextOptions, Frame, Page } from "playwright-core";
import { afterAll, beforeAll } from "vitest";
import { startChromium } from "../../../scripts/services/chromium.ts";

/** A page in a browser of its own, and what the browser complains about in it. */
export interface Visitor extends AsyncDisposable {
  readonly context: BrowserContext;
  readonly page: Page;
  readonly complaints: readonly string[];
}

/** Starts Chromium for the tests of a file, and returns how they open a page in a browser of its own. */
export function visitorsOf(site: { readonly url: string }) {
  let chromium: Browser;
  beforeAll(async () => {
    chromium = await startChromium();
  });
  afterAll(() => chromium?.close());
  return async (options: BrowserContextOptions = {}): Promise<Visitor> => {
    const context = await chromium.newContext({ baseURL: site.url, ...options });
    context.setDefaultTimeout(60_000);
    const complaints: string[] = [];
    context.on("console", (message) => {
      if (message.type() === "error") complaints.push(message.text());
    });
    context.on("weberror", (error) => complaints.push(String(error.error())));
    const page = await context.newPage();
    return { context, page, complaints, [Symbol.asyncDispose]: () => context.close() };
  };
}

/** What axe-core finds in a page or a pane. */
export async function violations(frame: Frame, rules?: string[]): Promise<string[]> {
  await frame.evaluate(axe.source);
  return frame.evaluate(async (only) => {
    const { axe: inPage } = globalThis as unknown as {
      axe: { run(at: unknown, options: object): Promise<{ violations: Violation[] }> };
    };
    interface Violation {
      readonly id: string;
      readonly nodes: readonly { readonly html: string }[];
    }
    const found = await inPage.run(document, { iframes: false, ...(only && { runOnly: only }) });
    return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((it) => it.html)}`);
  }, rules);
}
