import { randomUUID } from "node:crypto";
import { createSessions, type ReleasedSession } from "@lanai/session";
import type { Awaitable, IndexedStore, Key, PagedStore, Store } from "@lanai/session/store";
import Koa, { type Context } from "koa";
import { describe, expect, test } from "vitest";
import { Browser, type Served, serve } from "./http.ts";
import { keyOf } from "./site.ts";

export interface DamagedSessionsOptions {
  readonly name: string;
  readonly open: () => IndexedStore & PagedStore;
  /** Makes what the store holds under a key a record that it can't read. */
  readonly damage: (key: Key, store: Store) => Awaitable<unknown>;
  /** The same in another of the record's parts. */
  readonly damageOther?: (key: Key, store: Store) => Awaitable<unknown>;
}

const ROUTES: Record<string, (ctx: Context) => unknown> = {
  "/nothing": () => {},
  "/login": (ctx) => void ctx.session.login("ada"),
  "/set-and-login": (ctx) => void ctx.session.set("cart", 1).login("ada"),
  "/logout": (ctx) => ctx.session.destroy(),
  "/who": (ctx) => {
    ctx.body = `${ctx.session.userId} ${ctx.session.get("cart")}`;
  },
  // What has to read, or to write into the session.
  "/get": (ctx) => ctx.session.get("cart"),
  "/has": (ctx) => ctx.session.has("cart"),
  "/keys": (ctx) => ctx.session.keys(),
  "/new": (ctx) => ctx.session.isNew,
  "/public-id": (ctx) => ctx.session.publicId,
  "/owners": (ctx) => ctx.session.owners,
  "/set": (ctx) => ctx.session.set("cart", 1),
  "/renew": (ctx) => ctx.session.set("cart", 1).renewId(),
  "/commit": (ctx) => ctx.session.commit(),
  "/reload": (ctx) => ctx.session.reload(),
  "/pop": (ctx) => ctx.session.pop("cart"),
  "/update": (ctx) => ctx.session.update("cart", () => 1),
};
const REFUSED = Object.keys(ROUTES).slice(5);

/** Makes an entry a text that the manager can't read. */
const damageEntry = (name: string) => (key: Key, store: Store) =>
  store.commit(key, { operation: randomUUID(), set: new Map([[name, "{no JSON"]]) });

/** What a visitor can do whose session is damaged: sign in, and sign out. */
export function damagedSessions(options: DamagedSessionsOptions): void {
  const { name, open, damage, damageOther } = options;
  describe(`a session whose record can't be read (${name})`, () => {
    test.each(["/login", "/set-and-login"])("is ended by a sign-in (%s)", async (path) => {
      await using it = await damagedVisitor();
      expect((await it.browser.get(path)).status).toBe(200);
      expect(await it.browser.text("/who")).toBe(`ada ${path === "/login" ? undefined : 1}`);
      expect(await it.store.load(it.key)).toEqual({ status: "none" });
      expect(it.errors).toEqual([]);
    });

    test("is ended by a sign-out, which clears the cookie and is reported", async () => {
      await using it = await damagedVisitor();
      expect((await it.browser.get("/logout")).status).toBe(200);
      expect(it.browser.cookies.size).toBe(0);
      expect(await it.store.load(it.key)).toEqual({ status: "none" });
      expect(await it.browser.text("/who")).toBe("undefined undefined");
      expect(it.ended).toEqual([it.publicId]);
      expect(it.released).toEqual([{ publicId: it.publicId, owners: expect.any(Set) }]);
      expect(it.errors).toEqual([]);
    });

    test.each(REFUSED)("is ERR_SESSION_DECODE for who reads or writes it (%s)", async (path) => {
      await using it = await damagedVisitor();
      const response = await it.browser.get(path);
      expect(response.status).toBe(500);
      expect(response.headers.getSetCookie()).toEqual([]);
      expect(it.errors).toMatchObject([{ code: "ERR_SESSION_DECODE" }]);
    });

    const damages = {
      "a part": damage,
      ...(damageOther && { "another part": damageOther }),
      "its user": damageEntry("s:user"),
      "who is behind it": damageEntry("s:behind"),
    };
    test.each(Object.entries(damages))(
      "hides no other and is in nobody's way (%s)",
      async (_, damageIt) => {
        const store = open();
        const sessions = createSessions({
          store,
          maxSessionsPerUser: { limit: 3, overflow: "end-oldest" },
          onSessionRelease: () => {},
        });
        const user = `damaged-${randomUUID()}`;
        const [{ session }] = [
          await sessions.create({ userId: user }),
          await sessions.create({ userId: user }),
          await sessions.create({ userId: user }),
        ];
        const key = keyOf(session.id as string);
        await damageIt(key, store);

        const owner = { user };
        const whole = (await sessions.list(owner)).map(({ publicId }) => publicId);
        expect(whole.filter((it) => it !== session.publicId)).toHaveLength(2);
        const all: object[] = [];
        for await (const one of sessions.all()) all.push(one);
        for (const publicId of whole) {
          expect(all).toContainEqual(expect.objectContaining({ publicId }));
        }
        expect(await sessions.count()).toBeGreaterThanOrEqual(2);
        // A fourth ends the oldest.
        await sessions.create({ userId: user });
        expect(await sessions.destroyAll(owner)).toBeGreaterThanOrEqual(2);
        expect(await sessions.list(owner)).toEqual([]);
        expect(await store.load(key)).toEqual({ status: "none" });
        const again = await sessions.create({ userId: user });
        await damageIt(keyOf(again.session.id as string), store);
        await sessions.create({ userId: user });
        expect(await sessions.destroyAll({ everyone: true })).toBeGreaterThanOrEqual(1);
        expect(await sessions.list(owner)).toEqual([]);
      },
    );

    test("is no concern of a request that doesn't use it", async () => {
      await using it = await damagedVisitor();
      const response = await it.browser.get("/nothing");
      expect(response.status).toBe(200);
      expect(response.headers.getSetCookie()).toEqual([]);
    });
  });

  /** An app, and a browser whose session is damaged after it has signed in. */
  async function damagedVisitor() {
    const store = open();
    const released: ReleasedSession[] = [];
    const onSessionRelease = (one: ReleasedSession) => void released.push(one);
    const sessions = createSessions({ store, onSessionRelease });
    const errors: unknown[] = [];
    const ended: string[] = [];
    sessions.onEnd(({ publicId, reason }) => {
      if (reason === "destroyed") ended.push(publicId);
    });
    const app = new Koa();
    app.on("error", (error) => errors.push(error));
    app.use(sessions.middleware());
    app.use(async (ctx) => {
      await ROUTES[ctx.path]?.(ctx);
      ctx.body ??= "";
    });
    const served: Served = await serve(app);
    const browser = new Browser(served);
    await browser.get("/login");
    const [id = ""] = browser.cookies.values();
    const key = keyOf(id);
    const loaded = await store.load(key);
    if (loaded.status !== "live") throw new Error("the sign-in stored nothing");
    await damage(key, store);
    const { publicId } = loaded.record;
    const dispose = () => served[Symbol.asyncDispose]();
    return {
      store,
      browser,
      key,
      publicId,
      errors,
      ended,
      released,
      [Symbol.asyncDispose]: dispose,
    };
  }
}
