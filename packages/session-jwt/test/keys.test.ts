import type { JwtKey } from "@lanai/session-jwt";
import { describe, expect, test, vi } from "vitest";
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
