import { createPrivateKey, createSecretKey } from "node:crypto";
import { CompactSign } from "jose";
import { hostileTests } from "./hostile.ts";

hostileTests({
  name: "jose",
  sign: (header, payload, key) => {
    const isSecret = String(header.alg).startsWith("HS");
    return new CompactSign(new TextEncoder().encode(payload))
      .setProtectedHeader(header as { alg: string })
      .sign(isSecret ? createSecretKey(key, "utf8") : createPrivateKey(key));
  },
});
