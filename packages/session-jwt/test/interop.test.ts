import { createPrivateKey, createPublicKey, createSecretKey } from "node:crypto";
import { jwtVerify, SignJWT } from "jose";
import jsonwebtoken from "jsonwebtoken";
import { describe, expect, test } from "vitest";
import { tokenSite } from "./token-site.ts";
import { claimsAt, ISSUER, KEYS, keysSignedBy, payloadOf, publicPem, TYP } from "./tokens.ts";

describe.each(KEYS)("$alg", ({ kid, alg, key }) => {
  const isSecret = alg === "HS256";
  const signs = isSecret ? createSecretKey(String(key), "utf8") : createPrivateKey(String(key));
  const verifies = isSecret ? signs : createPublicKey(publicPem(kid));

  test("jose verifies ours", async () => {
    await using site = await tokenSite({ keys: keysSignedBy(kid) });
    const { token = "" } = await site.visitor().signIn();
    const { payload, protectedHeader } = await jwtVerify(token, verifies, {
      algorithms: [alg],
      issuer: ISSUER,
      audience: ISSUER,
      typ: TYP,
      requiredClaims: ["exp", "iat", "sid", "gen"],
    });
    expect(payload).toEqual(payloadOf(token));
    expect(protectedHeader).toEqual({ alg, kid, typ: TYP });
  });

  test("jsonwebtoken verifies ours", async () => {
    await using site = await tokenSite({ keys: keysSignedBy(kid) });
    const { token = "" } = await site.visitor().signIn();
    const options = { algorithms: [alg], issuer: ISSUER, audience: ISSUER };
    expect(jsonwebtoken.verify(token, verifies, options)).toEqual(payloadOf(token));
  });

  test("ours accepts jose's and jsonwebtoken's", async () => {
    await using site = await tokenSite({ keys: keysSignedBy("hs") });
    const { token = "" } = await site.visitor().signIn();
    const claims = claimsAt(site.now(), String(payloadOf(token).sid));
    const header = { alg, kid, typ: TYP };
    const byJose = await new SignJWT(claims).setProtectedHeader(header).sign(signs);
    const byJsonwebtoken = jsonwebtoken.sign(claims, signs, { algorithm: alg, header });
    for (const theirs of [byJose, byJsonwebtoken]) {
      expect((await site.visitor(theirs).get("/")).user).toBe("ada");
    }
  });
});
