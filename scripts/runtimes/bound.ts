import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createSessions, memoryStore } from "@lanai/session";
import { boundSessions } from "@lanai/session-bound";
import Koa from "koa";
import type { Test } from "./report.ts";

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A session is bound to a key by a JWS of this runtime's own, and refused without its cookie. */
export const bound = (test: Test): void => {
  test("a session is bound to a key, and refused without the cookie of a proof", async () => {
    const sessions = createSessions({ store: memoryStore() });
    const app = new Koa();
    app.silent = true;
    app.use(sessions.middleware());
    app.use(boundSessions({ sessions }));
    app.use((ctx) => {
      if (ctx.path === "/sign-in") ctx.session.login("ada");
      ctx.body = ctx.session.userId;
    });
    const server = app.listen(0, "127.0.0.1");
    await once(server, "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

    const signedIn = await fetch(`${url}/sign-in`);
    const offer = signedIn.headers.get("Secure-Session-Registration") ?? "";
    const cookies = signedIn.headers.getSetCookie().map((line) => line.split(";")[0] ?? "");
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const jwk = publicKey.export({ format: "jwk" });
    const challenge = /challenge="([^"]+)"/.exec(offer)?.[1];
    const text = `${encode({ typ: "dbsc+jwt", alg: "ES256", jwk })}.${encode({ jti: challenge })}`;
    const key = { key: privateKey, dsaEncoding: "ieee-p1363" as const };
    const proof = `${text}.${sign("sha256", Buffer.from(text), key).toString("base64url")}`;
    const headers = { cookie: cookies.join("; "), "Secure-Session-Response": proof };
    const registered = await fetch(`${url}/device-bound/register`, { method: "POST", headers });
    assert.equal(registered.status, 200);

    const [cookie = ""] = registered.headers.getSetCookie().map((line) => line.split(";")[0] ?? "");
    const sid = cookies.find((it) => it.startsWith("sid=")) ?? "";
    const statusWith = async (jar: string) =>
      (await fetch(url, { headers: { cookie: jar } })).status;
    assert.equal(await statusWith(`${sid}; ${cookie}`), 200);
    assert.equal(await statusWith(sid), 401);
    server.close();
    server.closeAllConnections();
  });
};
