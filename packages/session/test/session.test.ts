import { inspect } from "node:util";
import { createSessions, memoryStore, type Session, type SessionsOptions } from "@lanai/session";
import type { Context } from "koa";
import { describe, expect, test } from "vitest";
import { keyOf } from "../src/stores/session-key.ts";
import { Browser, serve } from "./http.ts";
import { koaVersions } from "./koa-versions.ts";
import { watchedStore } from "./watched-store.ts";

interface Visitor extends AsyncDisposable {
  /** Runs code with the session of one request of one browser, and answers what it answered. */
  visit<T>(run: (session: Session, ctx: Context) => T | Promise<T>): Promise<T>;
  /** The calls of the store since the last look. */
  calls(): string[];
  readonly browser: Browser;
  readonly store: ReturnType<typeof memoryStore>;
}

const KINDS = {
  string: "text",
  number: 1.5,
  int: 7,
  boolean: true,
  date: new Date(86_400_000),
  bytes: new Uint8Array([1, 2]),
  null: null,
  object: { a: 1 },
};

/** Of each typed getter: what it takes, what it answers for anything else, and a fallback. */
const GETTERS = [
  ["String", ["string"], "", "fallback"],
  ["Number", ["number", "int"], 0, 5.5],
  ["Int", ["int"], 0, 5],
  ["Boolean", ["boolean"], false, true],
  ["Date", ["date"], new Date(0), new Date(5)],
  ["Bytes", ["bytes"], new Uint8Array(0), new Uint8Array([9])],
] as const;

type Getter = (key: string, fallback?: unknown) => unknown;
const method = (session: Session, name: string): Getter =>
  (session[name as keyof Session] as unknown as Getter).bind(session);

describe.each(koaVersions)("on %s", (_version, App) => {
  async function open(options: SessionsOptions = {}): Promise<Visitor> {
    const store = memoryStore();
    const watched = watchedStore(store);
    const sessions = createSessions({ store: watched.store, ...options });
    let handler: (ctx: Context) => unknown = () => {};
    const app = new App();
    app.silent = true;
    app.use(sessions.middleware());
    app.use(async (ctx) => {
      await handler(ctx);
    });
    const served = await serve(app);
    const browser = new Browser(served);
    return {
      browser,
      store,
      calls: () => watched.calls.splice(0),
      visit: async (run) => {
        const answer = Promise.withResolvers<Awaited<ReturnType<typeof run>>>();
        handler = async (ctx) => {
          try {
            answer.resolve(await run(ctx.session, ctx));
          } catch (error) {
            answer.reject(error);
            throw error;
          }
        };
        const [result] = await Promise.all([answer.promise, browser.get("/")]);
        return result;
      },
      [Symbol.asyncDispose]: () => served[Symbol.asyncDispose](),
    };
  }

  /** A visitor whose session holds these values. */
  async function withValues(values: Record<string, unknown>): Promise<Visitor> {
    const visitor = await open();
    await visitor.visit((session) => {
      for (const [key, value] of Object.entries(values)) session.set(key, value);
    });
    visitor.calls();
    return visitor;
  }

  describe("typed getters", () => {
    test.each(GETTERS)(
      "get%s answers its own type, else the zero value, else the fallback",
      async (name, own, zero, fallback) => {
        await using visitor = await withValues(KINDS);
        for (const [key, value] of [...Object.entries(KINDS), ["missing", undefined] as const]) {
          const isOwn = (own as readonly string[]).includes(key);
          const [plain, withFallback] = await visitor.visit((session) => {
            const get = method(session, `get${name}`);
            return [get(key), get(key, fallback)];
          });
          expect(plain, key).toStrictEqual(isOwn ? value : zero);
          expect(withFallback, key).toStrictEqual(isOwn ? value : fallback);
        }
        expect(visitor.calls()).not.toContain("commit");
      },
    );

    test.each(GETTERS)(
      "pop%s answers the same, and takes out what is there",
      async (name, own, zero, fallback) => {
        for (const [key, value] of [...Object.entries(KINDS), ["missing", undefined] as const]) {
          const isOwn = (own as readonly string[]).includes(key);
          await using visitor = await withValues(KINDS);
          const [first, second] = await visitor.visit(async (session) => {
            const pop = method(session, `pop${name}`);
            return [await pop(key, fallback), await pop(key)];
          });
          expect(first, key).toStrictEqual(isOwn ? value : fallback);
          expect(second, key).toStrictEqual(zero);
          expect(await visitor.visit((session) => session.has(key))).toBe(false);
        }
      },
    );

    test("a zero value that was changed is not the next one's zero value", async () => {
      await using visitor = await open();
      await visitor.visit((session) => session.getDate("none").setTime(5));
      expect(await visitor.visit((session) => session.getDate("none"))).toStrictEqual(new Date(0));
    });

    test("an integer too large to be safe is no Int", async () => {
      await using visitor = await withValues({ big: 2 ** 53 });
      expect(
        await visitor.visit((session) => [session.getInt("big"), session.getNumber("big")]),
      ).toEqual([0, 2 ** 53]);
    });
  });

  describe("get, has, keys, entries, set, delete, clear", () => {
    test("keys and entries are sorted, and see what is pending", async () => {
      await using visitor = await withValues({ b: 2, a: 1, c: 3 });
      const seen = await visitor.visit((session) => {
        session.set("aa", 4).set("a", 5);
        session.delete("b");
        return [
          session.keys(),
          session.entries(),
          session.has("b"),
          session.has("aa"),
          session.get("b"),
        ];
      });
      expect(seen).toEqual([
        ["a", "aa", "c"],
        [
          ["a", 5],
          ["aa", 4],
          ["c", 3],
        ],
        false,
        true,
        undefined,
      ]);
    });

    test("delete tells whether there was something, also of what is pending", async () => {
      await using visitor = await withValues({ a: 1 });
      const told = await visitor.visit((session) => {
        session.set("b", 1);
        return ["a", "a", "b", "b", "c"].map((key) => session.delete(key));
      });
      expect(told).toEqual([true, false, true, false, false]);
      expect(await visitor.visit((session) => session.keys())).toEqual([]);
    });

    test("a value of null is there, one of undefined can't be set", async () => {
      await using visitor = await withValues({ a: null });
      expect(await visitor.visit((session) => [session.has("a"), session.get("a")])).toEqual([
        true,
        null,
      ]);
      await expect(visitor.visit((session) => session.set("b", undefined))).rejects.toThrow(
        "a session can't store b: it is undefined",
      );
    });

    test("clear deletes the app's keys; id, user and namespaces stay", async () => {
      await using visitor = await withValues({ a: 1, b: 2 });
      const id = await visitor.visit((session) => {
        session.login("ada");
        session.namespace("notes").set("1", "hello");
        return session.commit().then(() => session.id);
      });
      await visitor.visit((session) => session.clear());
      const after = await visitor.visit((session) => [
        session.keys(),
        session.userId,
        session.namespace("notes").entries(),
        session.id,
        session.isNew,
      ]);
      expect(after).toEqual([[], "ada", [["1", "hello"]], id, false]);
    });

    test("a session that becomes empty stays", async () => {
      await using visitor = await withValues({ a: 1 });
      const id = visitor.browser.cookies.get("sid");
      await visitor.visit((session) => session.clear());
      expect(await visitor.visit((session) => [session.isNew, session.id])).toEqual([false, id]);
    });

    test("keys that languages and packages give a meaning are data", async () => {
      const hostile = [
        "__proto__",
        "constructor",
        "prototype",
        "save",
        "_x",
        "length",
        "isNew",
        "id",
        "then",
        "toJSON",
        "get",
        "d:",
        "s:user",
        "a.b",
        " ",
        "😀",
      ];
      await using visitor = await open();
      await visitor.visit((session) => {
        for (const key of hostile) session.set(key, { [key]: key });
      });
      const [keys, back, json, isNew, user] = await visitor.visit((session) => [
        session.keys(),
        hostile.map((key) => session.get(key)),
        JSON.parse(JSON.stringify(session)) as object,
        session.isNew,
        session.userId,
      ]);
      expect(keys).toEqual(hostile.toSorted());
      expect(
        back.map((it, i) => Object.getOwnPropertyDescriptor(it, hostile[i] ?? "")?.value),
      ).toEqual(hostile);
      expect(Object.keys(json).toSorted()).toEqual(hostile.toSorted());
      expect([isNew, user]).toEqual([false, undefined]);
      expect("save" in {}).toBe(false);
    });

    test("a key that can't be is a TypeError at set and update, and asking for it is harmless", async () => {
      await using visitor = await open();
      for (const key of ["", "a\0", "a".repeat(257), "\ud800", 5 as never]) {
        await expect(visitor.visit((session) => session.set(key, 1))).rejects.toThrow(TypeError);
        await expect(visitor.visit((session) => session.update(key, () => 1))).rejects.toThrow(
          TypeError,
        );
        expect(
          await visitor.visit((session) => [
            session.get(key),
            session.has(key),
            session.delete(key),
          ]),
        ).toEqual([undefined, false, false]);
      }
      expect(visitor.calls()).toEqual([]);
    });

    test("what can't be stored fails at set, with the path, and nothing of it is stored", async () => {
      await using visitor = await open();
      await visitor.visit((session) => {
        session.set("good", 1);
        expect(() => session.set("bad", { list: [{ run() {} }] })).toThrow(
          new TypeError(
            "a session can't store bad.list[0].run: it is a function. " +
              "It stores JSON values, Date, Uint8Array, bigint, Map and Set",
          ),
        );
      });
      expect(await visitor.visit((session) => session.entries())).toEqual([["good", 1]]);
    });
  });

  describe("namespaces", () => {
    test("don't see each other, nor the app's keys", async () => {
      await using visitor = await open();
      await visitor.visit((session) => {
        session.set("k", "app");
        session.namespace("one").set("k", "one").set("only", 1);
        session.namespace("two").set("k", "two");
      });
      const seen = await visitor.visit((session) => [
        session.toJSON(),
        session.namespace("one").toJSON(),
        session.namespace("two").toJSON(),
        session.namespace("three").keys(),
      ]);
      expect(seen).toEqual([{ k: "app" }, { k: "one", only: 1 }, { k: "two" }, []]);
    });

    test("clear, delete and pop stay inside", async () => {
      await using visitor = await open();
      await visitor.visit((session) => {
        session.set("k", 1);
        for (const name of ["one", "two"]) session.namespace(name).set("k", 1);
      });
      await visitor.visit((session) => session.namespace("one").clear());
      expect(await visitor.visit((session) => session.namespace("two").pop("k"))).toBe(1);
      expect(await visitor.visit((session) => session.keys())).toEqual(["k"]);
    });

    test("are stored in the commit of the session", async () => {
      await using visitor = await withValues({ a: 1 });
      await visitor.visit((session) => {
        session.set("a", 2);
        session.namespace("one").set("b", 3);
      });
      expect(visitor.calls()).toEqual(["load", "commit"]);
    });

    test("have names that can't meet the manager's or the app's", async () => {
      await using visitor = await open();
      for (const name of ["", "d", "s", "A", "a:b", "1a", "a".repeat(33), "__proto__"]) {
        await expect(visitor.visit((session) => session.namespace(name))).rejects.toThrow(
          /^namespace\(name\) takes 2 to 32 lower-case letters/,
        );
      }
    });
  });

  describe("what is the library's own", () => {
    test.each(["user:ada", "client:one", "session:one", "acting:ada"])(
      "is no owner that an app may add: %s",
      async (owner) => {
        await using visitor = await withValues({ a: 1 });
        for (const given of [owner, () => owner]) {
          const adding = visitor.visit(async (session) => {
            session.addOwner(given);
            await session.commit();
          });
          await expect(adding).rejects.toThrow("are the library's own");
        }
        expect(await visitor.visit((session) => [...session.owners])).toEqual([]);
      },
    );

    test.each(["account", "bound", "channels", "clients", "device", "flash", "jwt"])(
      "is no namespace that an app may open: %s",
      async (name) => {
        await using visitor = await open();
        await expect(visitor.visit((session) => session.namespace(name))).rejects.toThrow(
          "belongs to a package of Lanai",
        );
      },
    );
  });

  describe("pop and popMany", () => {
    test("take out what is stored and what is pending, once", async () => {
      await using visitor = await withValues({ a: 1, b: { n: 2 } });
      const seen = await visitor.visit(async (session) => {
        session.set("c", 3).set("a", 4);
        const popped = await session.popMany(["a", "b", "c", "missing"]);
        return [popped, await session.pop("a"), session.keys()];
      });
      expect(seen).toEqual([
        new Map<string, unknown>([
          ["a", 4],
          ["b", { n: 2 }],
          ["c", 3],
        ]),
        undefined,
        [],
      ]);
      expect(visitor.calls()).toEqual(["load", "commit"]);
      expect(await visitor.visit((session) => session.keys())).toEqual([]);
    });

    test("of what isn't there cost nothing, and make no session", async () => {
      await using visitor = await withValues({ a: 1 });
      expect(await visitor.visit((session) => session.popMany(["x", "y"]))).toEqual(new Map());
      expect(visitor.calls()).toEqual(["load"]);
      await using stranger = await open();
      expect(await stranger.visit((session) => session.pop("x"))).toBeUndefined();
      expect(stranger.calls()).toEqual([]);
      expect(stranger.browser.cookies.size).toBe(0);
    });

    test("see a value as it was changed in place", async () => {
      await using visitor = await withValues({ cart: { items: [1] } });
      const popped = await visitor.visit((session) => {
        (session.get("cart") as { items: number[] }).items.push(2);
        return session.pop("cart");
      });
      expect(popped).toEqual({ items: [1, 2] });
      expect(await visitor.visit((session) => session.has("cart"))).toBe(false);
    });

    test("leave other pending changes to the request's commit", async () => {
      await using visitor = await withValues({ a: 1 });
      await visitor.visit(async (session) => {
        session.set("b", 2);
        await session.pop("a");
      });
      expect(visitor.calls()).toEqual(["load", "commit", "commit"]);
      expect(await visitor.visit((session) => session.entries())).toEqual([["b", 2]]);
    });

    test("what was deleted in this request isn't popped", async () => {
      await using visitor = await withValues({ a: 1 });
      const popped = await visitor.visit((session) => {
        session.delete("a");
        return session.pop("a");
      });
      expect(popped).toBeUndefined();
      expect(await visitor.visit((session) => session.has("a"))).toBe(false);
    });
  });

  describe("update", () => {
    test("takes what was there to what the function makes of it, asynchronous or not", async () => {
      await using visitor = await withValues({ n: 1 });
      const plus = (by: number) => (value: unknown) => Number(value ?? 0) + by;
      const seen = await visitor.visit(async (session) => [
        await session.update("n", plus(1)),
        await session.update("n", async (value) => plus(10)(value)),
        session.get("n"),
        await session.update("new", plus(5)),
      ]);
      expect(seen).toEqual([2, 12, 12, 5]);
      expect(await visitor.visit((session) => session.toJSON())).toEqual({ n: 12, new: 5 });
    });

    test("works on what is pending, and on a session that isn't stored yet", async () => {
      await using visitor = await open();
      await visitor.visit(async (session) => {
        session.set("n", 1);
        await session.update("n", (n) => Number(n) + 1);
      });
      expect(visitor.calls()).toEqual(["create"]);
      await visitor.visit(async (session) => {
        session.set("n", 10);
        await session.update("n", (n) => Number(n) + 1);
      });
      expect(await visitor.visit((session) => session.get("n"))).toBe(11);
    });

    test("works on a value as it was changed in place, and the function may change it too", async () => {
      await using visitor = await withValues({ list: [1] });
      await visitor.visit(async (session) => {
        (session.get("list") as number[]).push(2);
        await session.update("list", (list) => {
          (list as number[]).push(3);
          return list;
        });
      });
      expect(await visitor.visit((session) => session.get("list"))).toEqual([1, 2, 3]);
    });

    test("undefined deletes the key", async () => {
      await using visitor = await withValues({ n: 1, m: 1 });
      expect(
        await visitor.visit((session) => session.update("n", () => undefined)),
      ).toBeUndefined();
      expect(await visitor.visit((session) => session.keys())).toEqual(["m"]);
    });

    test("an equal value, or undefined where there is none, writes nothing", async () => {
      await using visitor = await withValues({ n: { a: 1 } });
      await visitor.visit(async (session) => {
        await session.update("n", () => ({ a: 1 }));
        await session.update("missing", () => undefined);
      });
      expect(visitor.calls()).toEqual(["load"]);
    });

    test("a function that throws, and a value that can't be stored, change nothing", async () => {
      await using visitor = await withValues({ n: 1 });
      await expect(
        visitor.visit((session) => session.update("n", () => Promise.reject(new Error("no")))),
      ).rejects.toThrow("no");
      await expect(visitor.visit((session) => session.update("n", () => () => {}))).rejects.toThrow(
        "a session can't store n: it is a function",
      );
      expect(visitor.calls()).toEqual(["load", "load"]);
      expect(await visitor.visit((session) => session.get("n"))).toBe(1);
    });

    test("many at once in one request all count", async () => {
      await using visitor = await withValues({ n: 0 });
      await visitor.visit((session) =>
        Promise.all(Array.from({ length: 10 }, () => session.update("n", (n) => Number(n) + 1))),
      );
      expect(await visitor.visit((session) => session.get("n"))).toBe(10);
    });
  });

  describe("a value changed in place is noticed", () => {
    test.each<[string, unknown, (value: never) => void, unknown]>([
      ["an array", [1], (it: number[]) => void it.push(2), [1, 2]],
      [
        "a nested object",
        { a: { b: [{ c: 1 }] } },
        (it: { a: { b: { c: number }[] } }) => {
          it.a.b = [{ c: 2 }];
        },
        { a: { b: [{ c: 2 }] } },
      ],
      [
        "a property that goes",
        { a: 1, b: 2 },
        (it: { b?: number }) => {
          delete it.b;
        },
        { a: 1 },
      ],
      [
        "a Map",
        new Map([["a", 1]]),
        (it: Map<string, number>) => void it.set("b", 2),
        new Map([
          ["a", 1],
          ["b", 2],
        ]),
      ],
      [
        "a Set in an object",
        { s: new Set([1]) },
        (it: { s: Set<number> }) => void it.s.add(2),
        { s: new Set([1, 2]) },
      ],
      ["a Date", new Date(0), (it: Date) => void it.setTime(5), new Date(5)],
      [
        "bytes",
        new Uint8Array([1]),
        (it: Uint8Array) => {
          it[0] = 2;
        },
        new Uint8Array([2]),
      ],
    ])("%s", async (_what, before, change, after) => {
      await using visitor = await withValues({ it: before });
      await visitor.visit((session) => change(session.get("it") as never));
      expect(visitor.calls()).toEqual(["load", "commit"]);
      expect(await visitor.visit((session) => session.get("it"))).toStrictEqual(after);
    });

    test("after set, after a commit, and again after another", async () => {
      await using visitor = await withValues({ list: [1] });
      await visitor.visit(async (session) => {
        const list = session.get("list") as number[];
        list.push(2);
        await session.commit();
        list.push(3);
        await session.commit();
        list.push(4);
        const fresh: number[] = [];
        session.set("fresh", fresh);
        fresh.push(1);
        await session.commit();
        fresh.push(2);
      });
      expect(await visitor.visit((session) => session.toJSON())).toEqual({
        list: [1, 2, 3, 4],
        fresh: [1, 2],
      });
    });

    test("between set and the commit, in a new session and in a known one", async () => {
      await using visitor = await open();
      for (const key of ["first", "second"]) {
        await visitor.visit((session) => {
          const list = [1];
          session.set(key, list);
          list.push(2);
        });
      }
      expect(await visitor.visit((session) => session.toJSON())).toEqual({
        first: [1, 2],
        second: [1, 2],
      });
    });

    test("not after it was replaced or deleted", async () => {
      await using visitor = await withValues({ a: [1], b: [1] });
      await visitor.visit((session) => {
        const [a, b] = [session.get("a"), session.get("b")] as number[][];
        session.set("a", "new");
        session.delete("b");
        a?.push(2);
        b?.push(2);
      });
      expect(await visitor.visit((session) => session.toJSON())).toEqual({ a: "new" });
    });

    test("two reads give one object", async () => {
      await using visitor = await withValues({ o: {} });
      const [first, second] = await visitor.visit((session) => [
        session.get("o"),
        session.get("o"),
      ]);
      expect(first).toBe(second);
    });
  });

  describe("what didn't change is not written", () => {
    const values = { o: { a: [1, new Map([["k", new Date(1)]])] }, s: "text", n: 1, nothing: null };

    test("reading every value, as it is, as JSON, by inspection", async () => {
      await using visitor = await withValues(values);
      await visitor.visit((session) => {
        session.entries();
        JSON.stringify(session);
        inspect(session, { depth: 9 });
      });
      expect(visitor.calls()).toEqual(["load"]);
    });

    test("set to an equal value, and set and set back", async () => {
      await using visitor = await withValues(values);
      await visitor.visit((session) => {
        session.set("n", 2).set("n", 1).set("s", "text").set("o", structuredClone(values.o));
        session.set("passing", 1);
        session.delete("passing");
      });
      expect(visitor.calls()).toEqual(["load"]);
    });

    test("read from text that another encoder wrote", async () => {
      await using visitor = await withValues({ o: { a: 1, b: [1] }, n: 100 });
      const key = keyOf(visitor.browser.cookies.get("sid") ?? "");
      const set = new Map([
        ["d:o", ' { "b" : [ 1.0 ], "a" : 1e0 } '],
        ["d:n", "1e2"],
      ]);
      visitor.store.commit(key, { operation: "by hand", set });
      const read = await visitor.visit((session) => [session.get("o"), session.get("n")]);
      expect(read).toEqual([{ a: 1, b: [1] }, 100]);
      expect(visitor.calls()).toEqual(["load"]);
      await visitor.visit((session) => void (session.get("o") as { b: number[] }).b.push(2));
      expect(visitor.calls()).toEqual(["load", "commit"]);
      expect(await visitor.visit((session) => session.get("o"))).toEqual({ a: 1, b: [1, 2] });
    });

    test("only the keys that changed are", async () => {
      const seen: unknown[] = [];
      const store = memoryStore();
      await using visitor = await open({
        store: {
          ...store,
          commit(key, change) {
            seen.push(change);
            return store.commit(key, change);
          },
        },
      });
      await visitor.visit((session) => void session.set("a", 1).set("b", 2).set("c", [3]));
      await visitor.visit((session) => {
        session.get("c");
        session.set("a", 1).set("b", 3);
        session.delete("missing");
      });
      expect(seen).toEqual([
        {
          operation: expect.any(String),
          publicId: expect.any(String),
          touch: true,
          set: new Map([["d:b", "3"]]),
        },
      ]);
    });
  });

  test("text that nobody of ours wrote is ERR_SESSION_DECODE for who reads it, without the text", async () => {
    await using visitor = await withValues({ good: 1 });
    const key = keyOf(visitor.browser.cookies.get("sid") ?? "");
    visitor.store.commit(key, { operation: "by hand", set: new Map([["d:bad", "s3cr3t"]]) });
    const error: unknown = await visitor.visit((session) => session.get("bad")).catch((it) => it);
    expect(error).toMatchObject({ code: "ERR_SESSION_DECODE", status: 500, expose: false });
    expect(inspect(error)).not.toContain("s3cr3t");
    expect(await visitor.visit((session) => inspect(session))).toBe("{ Session: 'not readable' }");
    expect(await visitor.visit((session) => [session.get("good"), session.has("bad")])).toEqual([
      1,
      true,
    ]);
    await visitor.visit((session) => session.delete("bad"));
    expect(await visitor.visit((session) => session.keys())).toEqual(["good"]);
  });

  describe("seen from outside", () => {
    test("toJSON and inspection show the app's data alone", async () => {
      await using visitor = await withValues({ a: 1, m: new Map([["k", 1]]) });
      const [json, shown, ofNamespace] = await visitor.visit((session) => {
        session.login("ada");
        const flash = session.namespace("notes").set("1", "hello");
        return [session.toJSON(), inspect(session), inspect(flash)];
      });
      expect(json).toEqual({ a: 1, m: new Map([["k", 1]]) });
      expect(shown).toBe("{ Session: { a: 1, m: Map(1) { 'k' => 1 } } }");
      expect(ofNamespace).toBe("{ Entries: { '1': 'hello' } }");
    });

    test("a lazy session that isn't loaded says so", async () => {
      await using visitor = await open({ load: "lazy" });
      expect(await visitor.visit((session) => inspect(session))).toBe("{ Session: 'not loaded' }");
      await expect(visitor.visit((session) => session.get("a"))).rejects.toMatchObject({
        code: "ERR_SESSION_NOT_LOADED",
        message: expect.stringContaining("await ctx.session.load()"),
      });
    });

    test("what isn't stored has no id and no instants, but its publicId", async () => {
      await using visitor = await open();
      const facts = ({ id, publicId, createdAt, expiresAt, isNew }: Session) =>
        [id, publicId, createdAt, expiresAt].map((it) => it === undefined).concat(isNew);
      const [before, after] = await visitor.visit(async (session) => {
        session.set("a", 1);
        const unsaved = facts(session);
        await session.commit();
        return [unsaved, facts(session)];
      });
      expect(before).toEqual([true, false, true, true, true]);
      expect(after).toEqual([false, false, false, false, false]);
    });

    test.each([999, -1, Number.NaN, Number.POSITIVE_INFINITY, 400 * 24 * 60 * 60 * 1000 + 1, "1d"])(
      "persist(%s) is a RangeError",
      async (duration) => {
        await using visitor = await open();
        await expect(
          visitor.visit((session) => session.persist(duration as number)),
        ).rejects.toThrow(
          new RangeError(
            `persist(duration) takes 1,000 (a second) to 34,560,000,000 (400 days) milliseconds, got ${duration}`,
          ),
        );
      },
    );

    test.each<[string, unknown]>([
      ["empty", ""],
      ["a number", 7],
      ["undefined", undefined],
      ["257 characters", "a".repeat(257)],
      ["half a pair", "\ud800"],
    ])(
      "login with a user id that is %s is a TypeError, and signs nobody in",
      async (_what, userId) => {
        await using visitor = await withValues({ a: 1 });
        await expect(visitor.visit((session) => session.login(userId as string))).rejects.toThrow(
          TypeError,
        );
        expect(await visitor.visit((session) => session.userId)).toBeUndefined();
      },
    );
  });
});
