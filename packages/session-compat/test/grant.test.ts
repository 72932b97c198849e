import { createSessions, memoryStore } from "@lanai/session";
import { plainSession } from "@lanai/session-compat";
import grantPackage from "grant";
import Koa from "koa";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Browser, type Served, serve } from "../../session/test/http.ts";

const { default: grant } = grantPackage;

/** Grants a code to everybody, and for it a token, once. */
const provider = () => {
  const codes = new Set<string>();
  const app = new Koa();
  app.use((ctx) => {
    if (ctx.path === "/authorize") {
      codes.add("code");
      const { redirect_uri, state } = ctx.query;
      ctx.redirect(`${redirect_uri}?code=code&state=${state}`);
    } else if (ctx.path === "/token") {
      ctx.body = codes.delete("code") ? { access_token: "a-token" } : { error: "invalid_grant" };
    }
  });
  return app;
};

const site = (authority: string) => {
  const sessions = createSessions({ property: "lanai", store: memoryStore() });
  const app = new Koa();
  app.use(sessions.middleware());
  app.use(plainSession(sessions));

  let signIn: ReturnType<typeof grant.koa> | undefined;
  app.use((ctx, next) => {
    // Made with the first request: only then the site's own address is known.
    signIn ??= grant.koa({
      defaults: { origin: `http://${ctx.host}`, transport: "session", state: true },
      lighthouse: {
        oauth: 2,
        authorize_url: `${authority}/authorize`,
        access_url: `${authority}/token`,
        key: "key",
        secret: "secret",
        callback: "/done",
        response: ["tokens"],
      },
    });
    return signIn(ctx, next);
  });

  app.use((ctx) => {
    if (ctx.path === "/done") ctx.body = sessions.from(ctx).get("grant") ?? {};
  });
  return app;
};

let authority: Served;
let served: Served;
let browser: Browser;

beforeEach(async () => {
  authority = await serve(provider());
  served = await serve(site(authority.url));
  browser = new Browser(served);
});

afterEach(async () => {
  await served[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
});

/** Where the last answer sends the browser, as a path of the site. */
const next = (response: Response) => {
  const { pathname, search } = new URL(response.headers.get("location") ?? "", served.url);
  return pathname + search;
};

const askAuthority = async () => {
  const begun = await browser.get("/connect/lighthouse");
  return fetch(begun.headers.get("location") ?? "", { redirect: "manual" });
};

test("grant on plainSession signs in by OAuth 2, with its state in the session", async () => {
  const granted = await askAuthority();
  const done = await browser.get(next(granted));
  expect(next(done)).toBe("/done");
  expect(await (await browser.get("/done")).json()).toEqual({
    provider: "lighthouse",
    state: expect.stringMatching(/^\w+$/),
    response: { access_token: "a-token" },
  });
});

test("grant on plainSession refuses an answer that another browser has asked for", async () => {
  const granted = await askAuthority();
  const other = new Browser(served);
  await other.get("/connect/lighthouse");
  await other.get(next(granted));
  expect(await (await other.get("/done")).json()).toMatchObject({
    response: { error: "Grant: OAuth2 state mismatch" },
  });
});
