import { firstOf, headerTracker, requireSession, type Tracker } from "@lanai/session";
import { describe, expect, test } from "vitest";
import { koaVersions } from "./koa-versions.ts";
import { listen, type Site, type SiteOptions, siteOn } from "./site.ts";
import { contextOf } from "./tracker-context.ts";

const ENTRY = "test:count";

describe.each(koaVersions)("on %s", (_version, App) => {
  const site = siteOn(App);

  /** A site whose tracker judges, with one session that is known by its header. */
  async function judgedSite(
    judge: Partial<Tracker>,
    options: SiteOptions = {},
  ): Promise<Site & { ask(path: string, id?: string): Promise<Response>; id: string }> {
    const tracker = { ...headerTracker(), ...judge };
    const opened = await site(
      {
        "/": (ctx) => ctx.session.userId ?? "nobody",
        "/private": async (ctx) => {
          await requireSession()(ctx, async () => {});
          return "inside";
        },
        "/lazy": async (ctx) => {
          await ctx.session.load();
          return "loaded";
        },
      },
      { tracker, ...options },
    );
    const { session } = await opened.sessions.create({ userId: "ada" });
    const { id = "" } = session;
    const ask = (path: string, presented = id) =>
      fetch(opened.url + path, { headers: presented === "" ? {} : { "Session-ID": presented } });
    return Object.assign(opened, { ask, id });
  }

  describe("a tracker's admission", () => {
    /** Counts requests in the record, compared and set; sends the id with every one. */
    const counts: Tracker["admit"] = (_ctx, _tracked, record) => {
      const before = record.values.get(ENTRY);
      const after = String(Number(before ?? 0) + 1);
      return {
        status: "accept",
        change: { expect: new Map([[ENTRY, before]]), set: new Map([[ENTRY, after]]) },
        reissue: true,
      };
    };

    test("its change is stored before the app runs, and the id is sent", async () => {
      await using opened = await judgedSite({ admit: counts });
      const response = await opened.ask("/");
      expect([await response.text(), response.headers.get("Session-ID")]).toEqual([
        "ada",
        opened.id,
      ]);
      expect(opened.store.calls).toEqual(["create", "load", "commit"]);
    });

    test("on a conflict it is asked once more, with the fresh record", async () => {
      const seen: (string | undefined)[] = [];
      await using opened = await judgedSite({
        admit(ctx, tracked, record, found) {
          seen.push(record.values.get(ENTRY));
          return counts(ctx, tracked, record, found);
        },
      });
      // Both have loaded before either commits.
      const both = Promise.withResolvers<void>();
      let loads = 0;
      opened.store.around = async (method, call) => {
        const answer = await call();
        if (method === "load" && ++loads === 2) both.resolve();
        if (method === "load") await both.promise;
        return answer;
      };
      const answers = await Promise.all([opened.ask("/"), opened.ask("/")]);
      expect(await Promise.all(answers.map((it) => it.text()))).toEqual(["ada", "ada"]);
      expect(answers.map(({ headers }) => headers.get("Session-ID"))).toEqual([
        opened.id,
        opened.id,
      ]);
      expect(seen).toEqual([undefined, undefined, "1"]);
    });

    test("after 16 conflicts in a row it is a 503", async () => {
      await using opened = await judgedSite({
        admit: () => ({ status: "accept", change: { expect: new Map([[ENTRY, "never"]]) } }),
      });
      expect((await opened.ask("/")).status).toBe(503);
      expect(opened.store.calls.filter((it) => it === "commit")).toHaveLength(16);
    });

    test("is told the time on the store's clock", async () => {
      const ages: number[] = [];
      await using opened = await judgedSite({
        admit: (_ctx, _tracked, record, { now, carriesData }) => {
          ages.push(now - record.seenAt);
          expect(carriesData).toBe(false);
          return { status: "accept" };
        },
      });
      opened.advance(60_000);
      await opened.ask("/");
      expect(ages[0]).toBeGreaterThanOrEqual(60_000);
      expect(ages[0]).toBeLessThan(70_000);
    });

    test("a refusal is told to events in full, with the session's public id, and to the client as shown", async () => {
      using heard = listen();
      await using opened = await judgedSite({
        admit: () => ({ status: "refuse", reason: "reused", shown: "gone", level: "error" }),
      });
      const response = await opened.ask("/private");
      expect(response.headers.get("WWW-Authenticate")).toBe(
        'Session realm="session", code="ERR_SESSION_REQUIRED", reason="gone"',
      );
      expect(response.headers.get("Cache-Control")).toBe("no-store");
      expect(heard.events.find(({ name }) => name === "refused")?.event).toEqual({
        level: "error",
        property: "session",
        reason: "reused",
        publicId: expect.stringMatching(/^[\w-]{22}$/),
      });
    });
  });

  describe("a strict tracker", () => {
    const unknown = "A".repeat(43);

    test.each(["eager", "lazy"] as const)(
      "answers a refused token with a 401, %s",
      async (load) => {
        await using opened = await judgedSite({ strict: true }, { load });
        const path = load === "lazy" ? "/lazy" : "/";
        for (const [id, reason] of [
          [unknown, "unknown"],
          ["a,b", "malformed"],
        ]) {
          const response = await opened.ask(path, id);
          expect([response.status, response.headers.get("WWW-Authenticate")]).toEqual([
            401,
            `Session realm="session", code="ERR_SESSION_REQUIRED", reason="${reason}"`,
          ]);
        }
        expect((await opened.ask(path)).status).toBe(200);
      },
    );

    test("lets those go on who bring nothing", async () => {
      await using opened = await judgedSite({ strict: true });
      expect(await (await opened.ask("/", "")).text()).toBe("nobody");
    });

    test("answers a renewed id with a 401 too", async () => {
      await using opened = await judgedSite({ strict: true });
      const session = await opened.sessions.open(opened.id);
      session?.renewId();
      await session?.commit();
      expect((await opened.ask("/")).status).toBe(401);
    });

    test("makes the whole of firstOf strict", () => {
      const strict = { ...headerTracker({ name: "X-Other" }), strict: true };
      expect(firstOf(headerTracker(), strict).strict).toBe(true);
      expect(firstOf(headerTracker(), headerTracker({ name: "X-Other" })).strict).toBeUndefined();
    });
  });

  describe("receive", () => {
    test("finds the session of a token from elsewhere, and nothing is sent", async () => {
      await using opened = await judgedSite({});
      const ctx = contextOf({});
      const received = await opened.sessions.receive(ctx, opened.id);
      expect(received).toEqual({ session: received.session });
      received.session?.set("n", 1);
      await received.session?.commit();
      expect((await opened.sessions.open(opened.id))?.get("n")).toBe(1);
      expect(ctx.res.getHeaderNames()).toEqual([]);
    });

    test("tells the headers to send from now on, where the tracker has the id sent again", async () => {
      await using opened = await judgedSite({ admit: () => ({ status: "accept", reissue: true }) });
      const received = await opened.sessions.receive(contextOf({}), opened.id);
      expect(received).toEqual({ session: received.session, headers: { "session-id": opened.id } });
    });

    test("tells why there is none, and how to close the socket", async () => {
      await using opened = await judgedSite({});
      const receive = (token: string) => opened.sessions.receive(contextOf({}), token);
      expect(await receive("")).toEqual({ reason: "missing", closeCode: 4401 });
      expect(await receive("a,b")).toEqual({ reason: "malformed", closeCode: 4401 });
      expect(await receive("A".repeat(43))).toEqual({ reason: "unknown", closeCode: 4401 });
      const session = await opened.sessions.open(opened.id);
      session?.renewId();
      await session?.commit();
      expect(await receive(opened.id)).toEqual({ reason: "renewed", closeCode: 4403 });
    });

    test("tells what the tracker shows, and its code", async () => {
      const terms = { shown: "later", closeCode: 4403 };
      await using opened = await judgedSite({ get: () => [{ refused: "inactive", ...terms }] });
      expect(await opened.sessions.receive(contextOf({}), "a")).toEqual({
        reason: "later",
        closeCode: 4403,
      });
    });
  });
});
