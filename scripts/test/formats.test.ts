import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import * as clients from "@lanai/clients";
import * as flash from "@lanai/flash";
import * as session from "@lanai/session";
import * as compat from "@lanai/session-compat";
import * as jwt from "@lanai/session-jwt";
import * as sqlite from "@lanai/session-sqlite";
import * as sse from "@lanai/sse";
import * as websocket from "@lanai/websocket";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import Koa from "koa";
import { beforeAll, describe, expect, test } from "vitest";
import { Browser } from "../../packages/clients/test/browser.ts";
import { startSite } from "../../packages/clients/test/site.ts";
import { until } from "../testing/until.ts";
import {
  expressStore,
  ISSUER,
  koaStore,
  recordingBus,
  SECRET,
  VALUES,
  WRITTEN_AT,
  type Written,
  write,
} from "./formats/write.ts";

const FIXTURE = join(import.meta.dirname, "formats/e0bcc68.json");
const clock = () => WRITTEN_AT + 60_000;
let today: Written;

beforeAll(async () => {
  today = await write({ session, flash, jwt, sqlite, compat, clients, sse, websocket });
});

describe.each<[string, () => Written]>([
  ["by commit e0bcc68", () => JSON.parse(readFileSync(FIXTURE, "utf8"))],
  ["today", () => today],
])("what was written %s", (_when, written) => {
  /** Reads a request's session by today's code. */
  async function read(options: session.SessionsOptions, headers: Readonly<Record<string, string>>) {
    const app = new Koa();
    const sessions = session.createSessions({ idleTimeout: 3_600_000, ...options });
    app.use(sessions.middleware());
    let seen: unknown;
    app.use(async (ctx) => {
      const { userId, owners } = ctx.session;
      const messages = flash.flashOf(ctx.session).peek();
      seen = { userId, owners, values: Object.fromEntries(ctx.session.entries()), messages };
      ctx.session.set("marked", true);
      ctx.status = 204;
    });
    const server = app.listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as AddressInfo;
    const response = await fetch(`http://127.0.0.1:${port}`, { headers });
    expect(response.status).toBe(204);
    server.close();
    server.closeAllConnections();
    return seen;
  }

  const withFile = async (use: (store: session.Store) => Promise<void>) => {
    const folder = await mkdtemp(join(tmpdir(), "lanai-"));
    const file = join(folder, "sessions.db");
    const database = new DatabaseSync(file);
    database.exec(["BEGIN", ...written().sqlite, "COMMIT"].join(";\n"));
    database.close();
    const store = sqlite.sqliteStore(file, { clock });
    try {
      await use(store);
    } finally {
      store.close?.();
      await rm(folder, { recursive: true });
    }
  };

  test("in a SQLite file, under a signed cookie, with a flash message, is read and written on", async () => {
    await withFile(async (store) => {
      const tracker = session.cookieTracker({ keys: [SECRET] });
      const seen = await read({ store, tracker }, written().headers.signedCookie);
      expect(seen).toEqual({
        userId: "ada",
        owners: new Set(["user:ada", "team:blue"]),
        values: VALUES,
        messages: [{ level: "success", message: "Saved", data: { undo: "/notes/7" } }],
      });
      const again = await read({ store, tracker }, written().headers.signedCookie);
      expect(again).toMatchObject({ values: { ...VALUES, marked: true } });
    });
  });

  const ADA = { userId: "ada", values: VALUES };
  const terms = { secret: SECRET, issuer: ISSUER, clock };
  const pointer = (carrier?: session.Tracker) =>
    jwt.jwtTracker({ ...terms, ...(carrier && { carrier }) });

  test.each<[keyof Written["headers"], string, session.Tracker]>([
    ["plainCookie", "a cookie", session.cookieTracker()],
    ["header", "a header", session.headerTracker()],
    ["jwtPointer", "a token that points to a session, in its header", pointer()],
    ["jwtBearer", "such a token as a bearer", pointer(jwt.bearerTracker())],
    ["jwtCookie", "such a token in a cookie", pointer(session.cookieTracker())],
  ])("%s: in a SQLite file, under %s, is read", async (way, _what, tracker) => {
    await withFile(async (store) => {
      expect(await read({ store, tracker }, written().headers[way])).toMatchObject(ADA);
    });
  });

  test("in a token that holds the session is read", async () => {
    const store = jwt.jwtStore({ ...terms, expiresIn: 3_600_000 });
    expect(await read({ store }, written().headers.jwtStore)).toMatchObject(ADA);
  });

  test("in a store of express-session is read and written on", async () => {
    const entries = structuredClone(written().compat);
    const store = compat.fromExpressStore(expressStore({ ...entries }), { clock });
    expect(await read({ store }, written().headers.compat)).toMatchObject(ADA);
    const again = await read({ store }, written().headers.compat);
    expect(again).toMatchObject({ values: { ...VALUES, marked: true } });
  });

  test("in a store of koa-session is read and written on", async () => {
    const entries = structuredClone(written().koa);
    const store = compat.fromKoaStore(koaStore({ ...entries }), { clock });
    expect(await read({ store }, written().headers.koa)).toMatchObject(ADA);
    const again = await read({ store }, written().headers.koa);
    expect(again).toMatchObject({ values: { ...VALUES, marked: true } });
  });

  test("to the tabs of a browser is read by the same page", () => {
    const { frames, close, stream } = written().live;
    const notice = { event: "notice", data: { text: VALUES.text } };
    expect(frames.map((it) => JSON.parse(it))).toEqual([notice]);
    expect(close).toEqual({ code: 4401, reason: "terminated" });
    const events: EventSourceMessage[] = [];
    createParser({ onEvent: (event) => events.push(event) }).feed(stream);
    expect(events.map(({ data, ...rest }) => ({ ...rest, data: JSON.parse(data) }))).toEqual([
      { id: undefined, ...notice },
      { id: "ended", event: "session", data: { ended: "terminated" } },
    ]);
  });

  test.each([
    ["plain", {}],
    ["signed", { keys: [SECRET] }],
  ] as const)("in a %s client cookie is the same browser", async (way, options) => {
    const { cookie, id } = written().clients[way];
    await using site = await startSite(options);
    const response = await new Browser(site).get("/me", { headers: { cookie } });
    expect(await response.json()).toMatchObject({ client: id });
    expect(response.headers.getSetCookie()).toEqual([]);
  });

  test("for the other processes is delivered, and ends what it ended", async () => {
    const { bus, handlers } = recordingBus();
    await using site = await startSite({ pubsub: bus, attach: { anonymous: true } });
    const browser = new Browser(site);
    browser.keep(written().clients.plain.cookie);
    const visitor = await browser.open(site);
    const ada = await (await new Browser(site).signIn("ada")).open(site);
    // Under subjects that an app can't use, since law C9.
    const named = (it: string) => it.replace(/^lanai\.clients\./, "$lanai.clients.app.");
    for (const { subject, text } of written().notes) {
      handlers.get(named(subject))?.({ subject: named(subject), data: text });
    }
    expect(await ada.next("notice")).toEqual({ text: VALUES.text });
    expect(await visitor.closed).toMatchObject({ code: 4401 });
    await until(() =>
      expect(site.clients.presence({ user: "ada" })).toMatchObject({ listeners: 1 }),
    );
    expect(site.errors).toEqual([]);
  });
});

test("a sealed cookie of e0bcc68, which has no context, is no session and no error", async () => {
  const { dropped } = JSON.parse(readFileSync(FIXTURE, "utf8"));
  const { cookie } = dropped.sealedCookie as { cookie: string };
  expect(cookie).toMatch(/^sid=E1/);
  const store = session.sealedStore({ keys: [SECRET], context: "app", clock });
  const { status } = store.load(cookie.slice("sid=".length)) as { status: string };
  expect(status).toBe("none");
  const app = new Koa();
  app.use(session.createSessions({ store }).middleware());
  app.use((ctx) => {
    ctx.body = ctx.session.userId ?? "nobody";
  });
  const server = app.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  const response = await fetch(`http://127.0.0.1:${port}`, { headers: { cookie } });
  expect([response.status, await response.text()]).toEqual([200, "nobody"]);
  server.close();
  server.closeAllConnections();
});
