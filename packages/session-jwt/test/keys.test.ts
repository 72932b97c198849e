import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { JwtKey } from "@lanai/session-jwt";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { tokenSite } from "./token-site.ts";
import { payloadOf, SECRET } from "./tokens.ts";

const old: JwtKey = { kid: "old", alg: "HS256", key: SECRET };
const fresh: JwtKey = { kid: "new", alg: "HS256", key: `${SECRET}, a newer one` };

const kidOf = (token = "") =>
  JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString()).kid;

test("secret and issuer alone are a set of one key", async () => {
  await using site = await tokenSite();
  const ada = await site.visitor().signIn();
  expect(kidOf(ada.token)).toBe("1");
  expect(payloadOf(ada.token ?? "")).toMatchObject({ aud: payloadOf(ada.token ?? "").iss, gen: 0 });
});

test("keys as a function receives the kid that a token names, and undefined to sign", async () => {
  const asked: (string | undefined)[] = [];
  const pair = (kid?: string): readonly JwtKey[] => {
    asked.push(kid);
    // Each look-up returns the key that is wanted, beside the one that signs.
    return kid === "old" ? [{ ...old, state: "retiring" }, fresh] : [fresh];
  };
  let keys: (kid?: string) => readonly JwtKey[] = () => [old];
  await using site = await tokenSite({ keys: (kid) => keys(kid) });
  const ada = await site.visitor().signIn();
  keys = pair;
  expect((await ada.get("/")).user).toBe("ada");
  expect(asked).toEqual(["old"]);
  await site.visitor().signIn();
  expect(asked).toEqual(["old", undefined]);
});

test.each([
  ["too long", "k".repeat(65)],
  ["of other characters", "../../etc"],
  ["no text", { toString: "old" }],
  ["__proto__'s name with a space", "__proto__ "],
])("a kid that is %s is not handed to the function", async (_what, kid) => {
  const asked: unknown[] = [];
  await using site = await tokenSite({
    keys: (it) => {
      asked.push(it);
      return [fresh];
    },
  });
  const header = Buffer.from(JSON.stringify({ alg: "HS256", kid })).toString("base64url");
  expect((await site.visitor(`${header}.e30.AAAA`).ask("/private")).status).toBe(401);
  expect(asked).toEqual([undefined]);
});

describe("a rotation", () => {
  test("pending, active, retiring, removed: only the last refuses the old tokens", async () => {
    let keys: readonly JwtKey[] = [old];
    await using site = await tokenSite({ keys: () => keys });
    const ada = await site.visitor().signIn();
    for (const set of [
      [old, { ...fresh, state: "pending" }],
      [{ ...old, state: "retiring" }, fresh],
    ] as const) {
      keys = set;
      expect((await ada.get("/")).user).toBe("ada");
      const bob = await site.visitor().signIn();
      expect(kidOf(bob.token)).toBe(set[1].state === "pending" ? "old" : "new");
    }
    keys = [fresh];
    const refused = await ada.get("/private");
    expect([refused.status, refused.headers["www-authenticate"]]).toEqual([
      401,
      'Session realm="session", code="ERR_SESSION_REQUIRED", reason="invalid"',
    ]);
  });
});

test("an array that the function answers again is not prepared again", async () => {
  let reads = 0;
  const keys = [
    {
      ...old,
      get key() {
        reads++;
        return SECRET;
      },
    },
  ];
  await using site = await tokenSite({ keys: () => keys });
  const ada = await site.visitor().signIn();
  const before = reads;
  expect((await ada.get("/")).user).toBe("ada");
  expect([before > 0, reads]).toEqual([true, before]);
});

describe("keys that can't be had", () => {
  test("are a 503 to who brings a token, never a stranger's page, and nothing to who brings none", async () => {
    let asked = 0;
    let broken = false;
    const keys = async () => {
      asked++;
      if (broken) throw new Error("the vault is sealed");
      return [old];
    };
    await using site = await tokenSite({ keys });
    const ada = await site.visitor().signIn();
    broken = true;
    site.advance(60_000);
    const refused = await ada.ask("/");
    expect([refused.status, refused.headers["retry-after"], refused.token]).toEqual([
      503,
      "1",
      undefined,
    ]);
    expect(refused.body).toBe("Service Unavailable");
    expect(site.errors).toEqual([
      expect.objectContaining({
        code: "ERR_JWT_KEYS_UNAVAILABLE",
        cause: expect.objectContaining({ message: "the vault is sealed" }),
      }),
    ]);
    asked = 0;
    expect((await site.visitor().ask("/")).status).toBe(200);
    expect(asked).toBe(0);
    expect((await site.visitor().ask("/sign-in")).status).toBe(503);
    broken = false;
    expect((await ada.ask("/")).user).toBe("ada");
  });

  test("go on as they last were for a minute, which an event tells", async () => {
    let broken = false;
    await using site = await tokenSite({
      keys: () => {
        if (broken) throw new Error("the vault is sealed");
        return [old];
      },
    });
    const ada = await site.visitor().signIn();
    broken = true;
    const told: unknown[] = [];
    const listener = (event: unknown) => void told.push(event);
    subscribe("lanai:session-jwt:stale", listener);
    onTestFinished(() => void unsubscribe("lanai:session-jwt:stale", listener));
    site.advance(55_000);
    expect((await ada.ask("/")).user).toBe("ada");
    const error = expect.objectContaining({
      code: "ERR_JWT_KEYS_UNAVAILABLE",
      cause: expect.objectContaining({ message: "the vault is sealed" }),
    });
    expect(told).toEqual([{ level: "error", error }]);
    site.advance(5_000);
    expect((await ada.ask("/")).status).toBe(503);
    expect(told).toHaveLength(1);
  });

  test.each<[string, readonly JwtKey[]]>([
    ["was taken away", [fresh]],
    ["was taken away, with all others", []],
  ])("a key that %s doesn't come back when they fail", async (_, without) => {
    let keys: readonly JwtKey[] | undefined = [old];
    await using site = await tokenSite({
      keys: async () => {
        if (!keys) throw new Error("the vault is sealed");
        return keys;
      },
    });
    const ada = await site.visitor().signIn();
    for (const next of [without, undefined]) {
      keys = next;
      expect((await ada.ask("/private")).status).toBe(without.length === 0 ? 503 : 401);
    }
  });

  test("a set that can't be is a 503 too, and says what is wrong with it", async () => {
    await using site = await tokenSite({ keys: () => [{ ...old, state: "retiring" }] });
    expect((await site.visitor("a.b.c").ask("/")).status).toBe(503);
    expect(site.errors[0]).toMatchObject({
      cause: { message: expect.stringContaining("exactly one") },
    });
  });

  test("after two seconds they are given up", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const asked = Promise.withResolvers<void>();
      await using site = await tokenSite({
        keys: () => {
          asked.resolve();
          return new Promise(() => {});
        },
      });
      const answer = site.visitor("a.b.c").ask("/");
      await asked.promise;
      vi.advanceTimersByTime(2_000);
      expect((await answer).status).toBe(503);
      expect(site.errors[0]).toMatchObject({
        cause: { message: "keys() did not answer within 2000 ms" },
      });
    } finally {
      vi.useRealTimers();
    }
  });
});
