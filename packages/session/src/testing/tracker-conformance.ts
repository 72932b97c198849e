import assert from "node:assert/strict";
import { once } from "node:events";
import { IncomingMessage, ServerResponse } from "node:http";
import { type AddressInfo, Socket } from "node:net";
import querystring from "node:querystring";
import { parseSetCookie } from "cookie";
import Koa, { type ExtendableContext } from "koa";
import type { Id } from "../id-generator.ts";
import type { Awaitable, SessionRecord } from "../store.ts";
import type { Tracked, Tracker } from "../tracker.ts";

/** What a client sends to show an id. */
export interface Presented {
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: `/`. */
  readonly path?: string;
}

export interface OpenedTracker {
  readonly tracker: Tracker;
  /** How a client shows an id. Needed where the tracker has no `present`. */
  present?(id: Id): Awaitable<Presented>;
  /**
   * What a client sends after a response in which `sent` was set, or `undefined` was: cleared.
   * Default: the response's cookies, and what came in the headers that `vary` names.
   */
  answer?(response: Headers, sent: Id | undefined): Awaitable<Presented>;
  /** Lets go of what was opened. */
  close?(): Awaitable<void>;
}

export interface TrackerConformanceOptions {
  /** Begins the name of every test. */
  readonly name: string;
  /** The runner's function: Vitest's, Mocha's or that of `node:test`. */
  readonly test: (name: string, fn: () => Promise<void>) => unknown;
  /** Called once for each test. */
  open(): Awaitable<OpenedTracker>;
  /** Two different ids that the tracker can carry. Default: like those of `randomIds()`. */
  readonly ids?: readonly [Id, Id];
  /** Default: an app of the Koa that is installed beside this package. */
  createApp?(): Koa;
}

const ID = "mNfMp0VO5KuhOKeoQDFlCR2cN8d0dFoOJ0zKeqR0wLA";
const OTHER_ID = "mNXi27Z1yQbAzqYB8vBFN0h5rGJsHB2RBXy1vWPVr0s";
/** The characters that ids consist of. */
const SAFE = /^[A-Za-z0-9\-_.~]+$/;

/**
 * The suite for authors of trackers: registers one test for each thing that {@link Tracker}
 * promises. What can be sent over HTTP is, to a real Koa app on a free port of the loopback.
 */
export function trackerConformance(options: TrackerConformanceOptions): void {
  const { name, test, ids: [id, otherId] = [ID, OTHER_ID], createApp = () => new Koa() } = options;

  const fact = (text: string, fn: (opened: Opened) => Promise<void>) =>
    test(`${name}: ${text}`, async () => {
      const opened = await options.open();
      try {
        await fn(complete(opened, createApp));
      } finally {
        await opened.close?.();
      }
    });

  fact("a request that brings nothing has no id", async ({ read, readRaw, tracker }) => {
    assert.equal(await read({}), undefined);
    assert.equal(await readRaw({}), undefined);
    for (const field of fieldsOf(tracker)) {
      assert.equal(await readRaw({ headers: { [field]: "" } }), undefined, `an empty ${field}`);
    }
  });

  fact(
    "the id that a client presents is read, each time alike",
    async ({ exchange, present, tracker }) => {
      for (const presented of [id, otherId]) {
        const { result } = await exchange(await present(presented), async (ctx) => [
          idOf(await tracker.get(ctx)),
          idOf(await tracker.get(ctx)),
        ]);
        assert.deepEqual(result, [presented, presented]);
      }
    },
  );

  fact("vary names the headers that bring an id", async ({ present, tracker }) => {
    const { headers = {} } = await present(id);
    const named = fieldsOf(tracker);
    for (const field of Object.keys(headers)) {
      assert.ok(named.includes(field.toLowerCase()), `${field} is not in vary`);
    }
  });

  fact("reading sends nothing", async ({ exchange, present, tracker }) => {
    for (const presented of [{}, await present(id)]) {
      const { result } = await exchange(presented, async (ctx) => {
        const before = ctx.res.getHeaderNames();
        await tracker.get(ctx);
        return [before, ctx.res.getHeaderNames()];
      });
      assert.deepEqual(result[1], result[0]);
    }
  });

  fact("what is set, a client presents", async ({ exchange, answer, read, tracker }) => {
    for (const maxAge of [undefined, 1, 1500, 365 * 24 * 60 * 60 * 1000, Number.MAX_SAFE_INTEGER]) {
      const { headers } = await exchange({}, (ctx) => tracker.set(ctx, id, recordOf(), maxAge));
      assert.equal(idOf(await read(await answer(headers, id))), id, `maxAge ${maxAge}`);
    }
  });

  fact("what is set twice is there once, the last", async ({ exchange, answer, read, tracker }) => {
    const one = await exchange({}, (ctx) => tracker.set(ctx, id, recordOf()));
    const two = await exchange({}, async (ctx) => {
      await tracker.set(ctx, id, recordOf());
      await tracker.set(ctx, otherId, recordOf());
    });
    assert.equal(two.headers.getSetCookie().length, one.headers.getSetCookie().length);
    assert.equal(idOf(await read(await answer(two.headers, otherId))), otherId);
  });

  fact(
    "what is cleared, a client forgets",
    async ({ exchange, present, answer, read, tracker }) => {
      const { headers } = await exchange(await present(id), async (ctx) => {
        await tracker.get(ctx);
        await tracker.clear(ctx);
      });
      assert.equal(await read(await answer(headers, undefined)), undefined);
    },
  );

  fact("the last of set and clear counts", async ({ exchange, answer, read, tracker }) => {
    const cleared = await exchange({}, async (ctx) => {
      await tracker.set(ctx, id, recordOf());
      await tracker.clear(ctx);
    });
    assert.equal(await read(await answer(cleared.headers, undefined)), undefined);
    const set = await exchange({}, async (ctx) => {
      await tracker.clear(ctx);
      await tracker.set(ctx, id, recordOf());
    });
    assert.equal(idOf(await read(await answer(set.headers, id))), id);
  });

  fact("what the app sends itself is left alone", async ({ exchange, tracker }) => {
    const app = (ctx: ExtendableContext, word: string) => {
      ctx.append("Set-Cookie", `${word}=${word}; path=/${word}`);
      ctx.set(`X-${word}`, word);
    };
    for (const write of [
      (ctx: ExtendableContext) => tracker.set(ctx, id, recordOf()),
      (ctx: ExtendableContext) => tracker.clear(ctx),
    ]) {
      const { headers } = await exchange({}, async (ctx) => {
        app(ctx, "before");
        await write(ctx);
        app(ctx, "after");
        await write(ctx);
      });
      for (const word of ["before", "after"]) {
        assert.ok(headers.getSetCookie().includes(`${word}=${word}; path=/${word}`), word);
        assert.equal(headers.get(`X-${word}`), word);
      }
    }
  });

  fact(
    "a response that the app ends itself carries it too",
    async ({ exchange, answer, read, tracker }) => {
      const { headers } = await exchange({}, async (ctx) => {
        ctx.respond = false;
        await tracker.set(ctx, id, recordOf());
        ctx.res.end();
      });
      assert.equal(idOf(await read(await answer(headers, id))), id);
    },
  );

  fact("of two ids in one place none is guessed", async ({ present, readRaw }) => {
    const both = joined(await present(id), await present(otherId));
    assert.ok(![id, otherId].includes(idOf(await readRaw(both)) ?? ""));
  });

  fact(
    "hostile requests are refused or read as they are",
    async ({ present, readRaw, tracker }) => {
      const shown = await present(id);
      for (const text of hostileTexts()) {
        for (const presented of hostileRequests(shown, tracker, id, text)) {
          checkHostile(presented, [id, text], await readRaw(presented));
        }
        checkHostile({}, [text], await readRaw({}, text));
      }
    },
  );

  fact("10,000 random requests are refused or read as they are", async ({ present, readRaw }) => {
    const seed = Math.trunc(Math.random() * 2 ** 31);
    const random = randomOf(seed);
    const shown = await present(id);
    for (let made = 0; made < 10_000; made++) {
      const text = randomText(random);
      const mutated = mapPresented(shown, (value) => mutate(value, random, text));
      checkHostile(mutated, [id], await readRaw(mutated), `seed ${seed}`);
      checkHostile({}, [text], await readRaw({}, text), `seed ${seed}`);
    }
  });
}

interface Exchanged<T> {
  readonly headers: Headers;
  readonly result: T;
}

interface Opened {
  readonly tracker: Tracker;
  present(id: Id): Promise<Presented>;
  answer(response: Headers, sent: Id | undefined): Promise<Presented>;
  /** One request over HTTP, and what `handle` made of it. */
  exchange<T>(
    presented: Presented,
    handle: (ctx: ExtendableContext) => T,
  ): Promise<Exchanged<Awaited<T>>>;
  /** What the tracker reads from a request over HTTP. */
  read(presented: Presented): Promise<Tracked | undefined>;
  /** What it reads from a request that no client could send, and Node would not let pass. */
  readRaw(presented: Presented, text?: string): Promise<Tracked | undefined>;
}

function complete(opened: OpenedTracker, createApp: () => Koa): Opened {
  const { tracker } = opened;
  const exchange: Opened["exchange"] = (presented, handle) => serve(createApp(), presented, handle);
  const app = createApp();
  return {
    tracker,
    exchange,

    async present(id) {
      if (opened.present) return opened.present(id);
      assert.ok(tracker.present, "the tracker has no present, so open() must answer one");
      return { headers: await tracker.present(id, { secure: false }) };
    },

    answer: async (response, sent) =>
      opened.answer ? opened.answer(response, sent) : browse(response, fieldsOf(tracker)),

    read: async (presented) => (await exchange(presented, (ctx) => tracker.get(ctx))).result,

    async readRaw({ headers = {}, path = "/" }, text) {
      const req = new IncomingMessage(new Socket());
      req.method = "GET";
      req.url = path;
      for (const [field, value] of Object.entries(headers))
        req.headers[field.toLowerCase()] = value;
      const ctx = app.createContext(req, new ServerResponse(req));
      const tracked = await tracker.get(ctx, text);
      assert.deepEqual(ctx.res.getHeaderNames(), [], "reading sent headers");
      return tracked;
    },
  };
}

async function serve<T>(
  app: Koa,
  { headers = {}, path = "/" }: Presented,
  handle: (ctx: ExtendableContext) => T,
): Promise<Exchanged<Awaited<T>>> {
  const handled = Promise.withResolvers<Awaited<T>>();
  // A failure is the test's: the request that meets it is answered with 500 before it is looked at.
  handled.promise.catch(() => {});
  app.silent = true;
  app.use(async (ctx) => {
    ctx.body = "";
    try {
      handled.resolve(await handle(ctx));
    } catch (error) {
      handled.reject(error);
      throw error;
    }
  });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const { port } = server.address() as AddressInfo;
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
    await response.arrayBuffer();
    return { headers: response.headers, result: await handled.promise };
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

/** A client that keeps the cookies it was sent, and sends back the headers that the server reads. */
function browse(response: Headers, fields: readonly string[]): Presented {
  const headers: Record<string, string> = {};
  const cookies = response
    .getSetCookie()
    .map((line) => parseSetCookie(line))
    .filter(({ maxAge = 1, expires = new Date() }) => maxAge > 0 && expires.getTime() > 0);
  if (cookies.length > 0) {
    headers.cookie = cookies.map((cookie) => `${cookie.name}=${cookie.value}`).join("; ");
  }
  for (const field of fields) {
    const value = response.get(field);
    if (field !== "cookie" && value) headers[field] = value;
  }
  return { headers };
}

const fieldsOf = ({ vary = "" }: Tracker): string[] =>
  vary.split(",").flatMap((field) => field.trim().toLowerCase() || []);

const idOf = (tracked: Tracked | undefined): Id | undefined => tracked?.id;

function recordOf(): SessionRecord {
  const now = Date.now();
  return {
    publicId: "conformance",
    values: new Map(),
    owners: new Set(),
    createdAt: now,
    startedAt: now,
    seenAt: now,
    idle: 30 * 60 * 1000,
    absolute: 24 * 60 * 60 * 1000,
  };
}

function mapPresented(
  { headers = {}, path }: Presented,
  change: (value: string) => string,
): Presented {
  const changed = Object.entries(headers).map(([field, value]) => [field, change(value)]);
  return {
    headers: Object.fromEntries(changed),
    ...(path !== undefined && { path: change(path) }),
  };
}

function joined(one: Presented, two: Presented): Presented {
  const headers = { ...one.headers };
  for (const [field, value] of Object.entries(two.headers ?? {})) {
    headers[field] = `${headers[field]}${field.toLowerCase() === "cookie" ? "; " : ", "}${value}`;
  }
  const query = two.path?.slice(two.path.indexOf("?") + 1);
  return { headers, ...(one.path !== undefined && { path: `${one.path}&${query}` }) };
}

/**
 * Nothing was thrown; now the answer must be none, a refusal, or something that really came. Text
 * that no generator makes may be decoded in any way: the generator refuses it next.
 */
function checkHostile(
  { headers = {}, path = "" }: Presented,
  texts: readonly string[],
  tracked: Tracked | undefined,
  hint = "",
): void {
  if (tracked === undefined) return;
  if (tracked.id === undefined) {
    assert.match(tracked.refused, /^[a-z-]+$/, hint);
    return;
  }
  const { id } = tracked;
  assert.equal(typeof id, "string", hint);
  assert.notEqual(id, "", `an empty id was read ${hint}`);
  if (!SAFE.test(id)) return;
  const came = [...texts, ...Object.values(headers), path];
  assert.ok(
    came.some((text) => text.includes(id) || querystring.unescape(text).includes(id)),
    `read ${id}, which nobody sent: ${JSON.stringify(came).slice(0, 500)} ${hint}`,
  );
}

function hostileTexts(): string[] {
  return [
    "",
    " ",
    "a",
    "__proto__",
    "constructor",
    "%",
    "%E0%A4%A",
    "%00",
    "%ff%fe",
    "a,b",
    "a, b",
    "a;b",
    '"',
    '"quoted"',
    "a b",
    "a=b",
    "=",
    "&",
    "?",
    "#",
    ".",
    "..",
    ".a",
    "a.",
    "a.b.c",
    "a.b.c.d",
    "\0",
    "\r\nSet-Cookie: a=b",
    "\u007f",
    "\ud800",
    "\udfff\ud800",
    "\u2028",
    "ａｂｃ",
    "{}",
    "[]",
    "null",
    "Bearer",
    "Bearer ",
    "a".repeat(4096),
    "a".repeat(4097),
    "a".repeat(2 ** 20),
    ".".repeat(2 ** 20),
    " ".repeat(2 ** 20),
    ";".repeat(2 ** 20),
    "%".repeat(2 ** 16),
  ];
}

/** A hostile text everywhere where it could be taken for an id. */
function hostileRequests(shown: Presented, tracker: Tracker, id: Id, text: string): Presented[] {
  const places: ((value: string) => string)[] = [
    () => text,
    (value) => value.replaceAll(id, text),
    (value) => value.slice(0, value.indexOf("=") + 1) + text,
    (value) => value + text,
    (value) => text + value,
    (value) => `${value}; ${value.slice(0, value.indexOf("=") + 1)}${text}`,
    (value) => `${value.slice(0, value.indexOf("=") + 1)}${text}; `.repeat(20),
  ];
  return [
    ...places.map((place) => mapPresented(shown, place)),
    { headers: Object.fromEntries(fieldsOf(tracker).map((field) => [field, text])) },
    { path: text },
    { path: `http://[${text}` },
    { path: `${shown.path ?? "/"}&${text}` },
  ];
}

/** Mulberry32: the same numbers for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function randomText(random: () => number): string {
  const limit = [0x80, 0x100, 0x10000][Math.trunc(random() * 3)] ?? 0x80;
  const units = Array.from({ length: random() * 60 }, () => Math.trunc(random() * limit));
  return String.fromCharCode(...units);
}

function mutate(value: string, random: () => number, text: string): string {
  const start = Math.trunc(random() * (value.length + 1));
  const removed = random() < 0.5 ? 0 : Math.trunc(random() * 8);
  return value.slice(0, start) + text + value.slice(start + removed);
}
