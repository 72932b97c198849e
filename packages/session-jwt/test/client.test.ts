import jsonwebtoken from "jsonwebtoken";
import type { ExtendableContext } from "koa";
import { describe, expect, test } from "vitest";
import { listen } from "../../session/test/site.ts";
import { type Answer, send, tokenSite } from "./token-site.ts";
import { payloadOf, SECRET } from "./tokens.ts";

/** As an app would name the browser: from a cookie that its scripts can't read. */
const client = (ctx: ExtendableContext) => ctx.cookies.get("cid");
const signIn = (url: string, cookie: string): Promise<Answer> => send(`${url}/sign-in`, { cookie });

describe("a token that is bound to a client", () => {
  test("is worth nothing at another one, and the session goes on where it belongs", async () => {
    using heard = listen();
    await using site = await tokenSite({ client });
    const { token = "" } = await signIn(site.url, "cid=ada");
    expect(payloadOf(token).cid).toBe("ada");
    const use = (headers: Record<string, string>) =>
      send(site.url, { "Session-ID": token, ...headers });
    expect((await use({ cookie: "cid=thief" })).user).toBe("nobody");
    expect((await use({})).user).toBe("nobody");
    const refused = heard.events.filter(({ name }) => name === "refused");
    expect(refused.map(({ event }) => [event.reason, event.level])).toEqual([
      ["client", "warn"],
      ["client", "warn"],
    ]);
    expect((await use({ cookie: "cid=ada" })).user).toBe("ada");
  });

  test("a token that is bound to nobody is refused", async () => {
    await using site = await tokenSite({ client });
    const { token = "" } = await signIn(site.url, "cid=ada");
    const { cid: _, ...claims } = payloadOf(token);
    const unbound = jsonwebtoken.sign(claims, SECRET, {
      header: { alg: "HS256", kid: "1", typ: "sess+jwt" },
    });
    for (const cookie of ["", "cid=ada"]) {
      expect((await send(site.url, { "Session-ID": unbound, cookie })).user).toBe("nobody");
    }
  });

  test("where the client is not known, none is issued", async () => {
    await using site = await tokenSite({ client });
    expect((await send(`${site.url}/sign-in`)).status).toBe(500);
    expect(site.errors).toEqual([expect.objectContaining({ code: "ERR_JWT_NO_CLIENT" })]);
  });
});
