import { createPrivateKey, createSecretKey } from "node:crypto";
import { FlattenedSign, UnsecuredJWT } from "jose";
import { hostileTests } from "./hostile.ts";
import { base64url } from "./tokens.ts";

hostileTests({
  name: "jose",
  sign: async (header, payload, key) => {
    if (header.alg === "none") return new UnsecuredJWT(JSON.parse(payload)).encode();
    const isSecret = String(header.alg).startsWith("HS");
    const isRaw = header.b64 === false;
    const bytes = new TextEncoder().encode(isRaw ? base64url(payload) : payload);
    const { crit = [] } = header as { crit?: string[] };
    const signed = await new FlattenedSign(bytes)
      .setProtectedHeader(header as { alg: string })
      .sign(isSecret ? createSecretKey(key, "utf8") : createPrivateKey(key), {
        crit: Object.fromEntries(crit.map((name) => [name, true])),
      });
    return [signed.protected, base64url(payload), signed.signature].join(".");
  },
});
