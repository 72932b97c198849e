import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createSessions, type MemoryStore, memoryStore } from "@lanai/session";
import { expect } from "vitest";
import { type Porch, porch } from "../src/porch.ts";
import { Browser } from "./browser.ts";

/** The app for one test, on a store in memory whose clock the test moves. */
export interface StartedApp {
  readonly app: Porch["app"];
  readonly store: MemoryStore;
  readonly url: string;
  readonly browser: Browser;
  advance(ms: number): void;
  stop(): void;
}

/** What `/fails` throws. */
export const failure: Error = new Error("a secret of the app");

export async function startApp(): Promise<StartedApp> {
  let now = Date.parse("2030-01-01T12:00:00Z");
  const clock = () => now;
  const store = memoryStore({ clock });
  const { app } = await porch(createSessions({ store }), undefined, clock);
  app.silent = true;
  app.use((ctx) => {
    if (ctx.path === "/fails") throw failure;
  });
  const server = app.listen(0, "127.0.0.1");
  server.keepAliveTimeout = 0;
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    ...{ app, store, url, browser: new Browser(url) },
    advance(ms) {
      now += ms;
    },
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

export function expectRedirect(response: Response, status: number, location: string): void {
  expect(response.status).toBe(status);
  expect(response.headers.get("location")).toBe(location);
}

export async function publicIdOf(whose: Browser): Promise<string> {
  const me = (await (await whose.get("/me")).json()) as { publicId: string };
  return me.publicId;
}
