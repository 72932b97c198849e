import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import Koa, { type Context } from "koa";
import { describe, expect, test } from "vitest";
import { type Graded, grade, type SetUp } from "../../bench/probe/grade.js";
import { comparison, report } from "../../bench/probe/report.js";
import lanaiSealed from "../../bench/probe/set-ups/lanai-sealed.js";
import lanaiSession from "../../bench/probe/set-ups/lanai-session.js";

const root = join(import.meta.dirname, "../..");
const gradesOf = async (setUp: SetUp) =>
  Object.fromEntries(Object.entries(await grade(setUp)).map(([name, it]) => [name, it.grade]));

const YES = {
  ...{ updates: "yes", logout: "yes", replay: "yes", fixation: "yes", adoption: "yes" },
  ...{ renewal: "yes", flash: "yes", isolation: "yes" },
};

test("every check holds for @lanai/session", async () => {
  expect(await gradesOf(lanaiSession)).toEqual({ ...YES, roundTrips: "0, 1, 1, 2" });
});

test("a session that is wholly in the cookie is graded as that", async () => {
  expect(await gradesOf(lanaiSealed)).toEqual({
    ...YES,
    ...{ updates: "no", logout: "no", replay: "no", flash: "no", roundTrips: "not counted" },
  });
});

type Data = Record<string, unknown>;
/** A context whose session is a plain object. */
type Plain = Omit<Context, "session"> & { session: Data | null };

interface Naive {
  /** Whether requests work on the live object, and not on a copy. */
  readonly shares?: boolean;
  readonly adopts?: boolean;
  /** Whether `renew` is offered, and whether the old id goes on opening the session then. */
  readonly renews?: "wholly" | "in name";
  /** Whether an ended session stays in the store. */
  readonly forgets?: false;
}

/** Sessions in a Map, as anybody would write them in an hour. */
const naive =
  ({ shares = false, adopts = false, renews, forgets }: Naive): SetUp =>
  ({ watch }) => {
    const map = watch(new Map<string, Data>());
    const give = (ctx: Plain, id: string) => {
      ctx.state.id = id;
      ctx.cookies.set("id", id);
    };
    const app = new Koa();
    app.use(async (context, next) => {
      const ctx = context as unknown as Plain;
      const id = ctx.cookies.get("id");
      const found = id === undefined ? undefined : map.get(id);
      ctx.state.id = found || adopts ? id : undefined;
      ctx.session = shares ? (found ?? {}) : { ...found };
      if (shares && !found && ctx.state.id) map.set(ctx.state.id, ctx.session);
      await next();
      if (!ctx.session) {
        if (forgets !== false) map.delete(ctx.state.id);
        ctx.cookies.set("id", null);
      } else if (Object.keys(ctx.session).length > 0) {
        if (!ctx.state.id) give(ctx, randomUUID());
        map.set(ctx.state.id, ctx.session);
      }
    });
    const renew = (ctx: Plain) => {
      if (renews === "wholly") map.delete(ctx.state.id);
      give(ctx, randomUUID());
    };
    return { app, ...(renews && { renew }) };
  };

describe("what is wrong with a naive set-up is found", () => {
  test.for<[what: string, Naive, Data]>([
    ["it loses updates and undoes a logout", {}, { updates: "no", logout: "no", flash: "no" }],
    ["it never renews", {}, { fixation: "no" }],
    ["it renews if it is asked", { renews: "wholly" }, { fixation: "if asked" }],
    ["it shares a live object", { shares: true }, { updates: "yes", isolation: "no" }],
    ["it adopts an id", { adopts: true }, { adoption: "no" }],
    ["an ended session opens again", { forgets: false }, { replay: "no" }],
    ["a request begun before follows", { shares: true, renews: "in name" }, { renewal: "no" }],
    ["its store is called twice", {}, { roundTrips: "0, 2, 2, 2" }],
  ])("%s", async ([, how, wrong]) => {
    expect(await gradesOf(naive(how))).toMatchObject(wrong);
  });

  test("one that keeps nothing isn't graded", async () => {
    const setUp: SetUp = () => {
      const app = new Koa();
      app.use((ctx, next) => {
        Object.assign(ctx, { session: {} });
        return next();
      });
      return app;
    };
    await expect(grade(setUp)).rejects.toThrow("The set-up keeps no session");
  });

  test("what is no app is said so", async () => {
    await expect(grade(() => ({}))).rejects.toThrow("must return a Koa, Express or Fastify app");
  });
});

describe("the README's table", () => {
  const results = JSON.parse(readFileSync(join(root, "bench/probe/results.json"), "utf8"));
  const readme = readFileSync(join(root, "README.md"), "utf8");

  test("is what the probe has found", () => {
    expect(readme).toContain(`<!-- probe -->\n\n${comparison(results)}\n\n<!-- /probe -->`);
  });

  test("has ours as they are now", async () => {
    const found: Record<string, Record<string, Graded>> = Object.fromEntries(
      results.map(({ name, grades }: { name: string; grades: object }) => [name, grades]),
    );
    expect(found["lanai-session"]).toEqual(await grade(lanaiSession));
    expect(found["lanai-sealed"]).toEqual(await grade(lanaiSealed));
  });
});

test("a terminal gets each grade with its reason, and their sum", () => {
  const yes = { grade: "yes" };
  const grades = {
    ...Object.fromEntries(Object.keys(YES).map((name) => [name, yes])),
    flash: { grade: "no", detail: "shown twice" },
    roundTrips: { grade: "not counted" },
  };
  expect(report(grades)).toMatch(/^no +of two readers one shows a flash message\n +shown twice$/m);
  expect(report(grades)).toMatch(/\n\n7 of 8 hold$/);
});
