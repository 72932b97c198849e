import { afterAll, describe, expect, test } from "vitest";
import { hostileTests } from "./hostile.ts";
import { startPyJwt } from "./pyjwt.ts";
import { tokenSite } from "./token-site.ts";
import {
  claimsAt,
  ISSUER,
  KEYS,
  keyOf,
  keysSignedBy,
  payloadOf,
  publicPem,
  TYP,
} from "./tokens.ts";

const python = startPyJwt();
afterAll(() => python[Symbol.asyncDispose]());

const sign = async (header: object, payload: string, key: string) =>
  String(await python.ask({ do: "sign", header, payload, key }));

hostileTests({ name: "PyJWT", sign });

describe.each(KEYS)("$alg", ({ kid, alg, key }) => {
  test("PyJWT verifies ours, and refuses it altered", async () => {
    await using site = await tokenSite({ keys: keysSignedBy(kid) });
    const { token = "" } = await site.visitor().signIn();
    const verify = (text: string) =>
      python.ask({
        do: "verify",
        token: text,
        alg,
        issuer: ISSUER,
        key: alg === "HS256" ? keyOf(kid).key : publicPem(kid),
      });
    expect(await verify(token)).toEqual(payloadOf(token));
    await expect(verify(token.replace(/\.[^.]{5}/, ".eyJhI"))).rejects.toThrow("Error");
  });

  test("ours accepts PyJWT's", async () => {
    await using site = await tokenSite({ keys: keysSignedBy("hs") });
    const { token: ours = "" } = await site.visitor().signIn();
    const claims = claimsAt(site.now(), String(payloadOf(ours).sid));
    const theirs = await sign({ alg, kid, typ: TYP }, JSON.stringify(claims), String(key));
    expect((await site.visitor(theirs).get("/")).user).toBe("ada");
  });
});
