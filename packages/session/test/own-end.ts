import { setImmediate as turn } from "node:timers/promises";
import { createSessions } from "@lanai/session";
import type { IndexedStore, PagedStore } from "@lanai/session/store";
import Koa from "koa";
import { describe, expect, onTestFinished, test } from "vitest";
import { Browser, serve } from "./http.ts";

export interface OwnEndOptions {
  readonly name: string;
  readonly open: () => IndexedStore & PagedStore;
}

/** A request whose session has no owner, and which ends everyone's. */
export function endsItsOwnSession({ name, open }: OwnEndOptions): void {
  describe(`a request that ends everyone's sessions, its own without an owner among them (${name})`, () => {
    test("goes on with a new, anonymous one", async () => {
      const it = await visitor(open());
      const before = it.browser.cookie;
      expect(await it.browser.text("/end-and-set")).toBe('{"farewell":"bye"} new');
      expect(it.browser.cookie).not.toBe(before);
      expect(await it.browser.text("/")).toBe('{"farewell":"bye"} old');
    });

    test("has its cookie cleared if it only reads afterwards", async () => {
      const it = await visitor(open());
      expect(await it.browser.text("/end")).toBe("{} new");
      expect(it.browser.cookie).toBe("");
    });

    test("keeps what it stored in its new session afterwards", async () => {
      const it = await visitor(open());
      expect(await it.browser.text("/end-and-store")).toBe('{"a":1,"b":2} old');
      expect(await it.browser.text("/")).toBe('{"a":1,"b":2} old');
    });

    test("takes nothing to a new session of another request that had the same one", async () => {
      const it = await visitor(open());
      const slow = it.browser.get("/set-later");
      await it.hasBegun;
      await it.browser.get("/end");
      it.goOn();
      expect((await slow).headers.getSetCookie()).toEqual([]);
    });
  });
}

async function visitor(store: IndexedStore & PagedStore) {
  const sessions = createSessions({ store });
  const end = () => sessions.destroyAll({ everyone: true });
  const [begun, later] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const app = new Koa();
  app.use(sessions.middleware());
  app.use(async (ctx) => {
    const { session } = ctx;
    if (ctx.path === "/begin") session.set("secret", "hers");
    if (ctx.path.startsWith("/end")) {
      session.set("early", "lost");
      await turn();
      await end();
    }
    if (ctx.path === "/end-and-set") session.set("farewell", "bye");
    if (ctx.path === "/end-and-store") {
      await session.set("a", 1).commit();
      session.set("b", 2);
    }
    if (ctx.path === "/set-later") {
      begun.resolve();
      await later.promise;
      session.set("late", 1);
    }
    ctx.body = `${JSON.stringify(session)} ${session.isNew ? "new" : "old"}`;
  });
  const served = await serve(app);
  onTestFinished(() => served[Symbol.asyncDispose]());
  const browser = new Browser(served);
  await browser.get("/begin");
  expect(browser.cookie).not.toBe("");
  return { browser, hasBegun: begun.promise, goOn: later.resolve };
}
