import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { text } from "node:stream/consumers";
import { inspect } from "node:util";
import {
  cookieTracker,
  firstOf,
  headerTracker,
  queryTracker,
  type SessionsOptions,
  type Store,
  sealedStore,
  session,
  sha1Ids,
  type Tracker,
  uuidIds,
} from "@lanai/session";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { isLong, type Random, randomFrom, seed } from "../../../scripts/testing/chance.ts";
import { koaVersions } from "./koa-versions.ts";
import { type WatchedStore, watchedStore } from "./watched-store.ts";

const KEYS = ["a key of thirty-two bytes or more"];
const CHANNELS = [
  "created",
  "renewed",
  "destroyed",
  "gone",
  "dropped",
  "refused",
  "unavailable",
  "insecure",
];

interface Presented {
  readonly path?: string;
  readonly headers?: readonly string[];
}

interface Transport {
  readonly name: string;
  readonly tracker: () => Tracker;
  /** Default: `memoryStore`. */
  readonly store?: () => Store;
  readonly present: (value: string) => Presented;
  /** What a response shows of a session that was stored. */
  readonly idOf: (response: string) => string | undefined;
}

const cookie = (value: string): Presented => ({ headers: [`Cookie: sid=${value}`] });
const cookieOf = (response: string): string | undefined =>
  /^set-cookie: sid=([^;]+)/im.exec(response)?.[1];

const transports: readonly Transport[] = [
  { name: "cookie", tracker: cookieTracker, present: cookie, idOf: cookieOf },
  {
    name: "signed cookie",
    tracker: () => cookieTracker({ keys: KEYS }),
    present: cookie,
    idOf: cookieOf,
  },
  {
    name: "header",
    tracker: headerTracker,
    present: (value) => ({ headers: [`Session-ID: ${value}`] }),
    idOf: (response) => /^session-id: (\S+)/im.exec(response)?.[1],
  },
  {
    name: "query",
    tracker: queryTracker,
    present: (value) => ({ path: `/?sid=${value}` }),
    idOf: (response) => /id=([\w-]{43})$/.exec(response)?.[1],
  },
  {
    name: "sealed cookie",
    tracker: cookieTracker,
    store: () => sealedStore({ context: "app", keys: KEYS }),
    present: cookie,
    idOf: cookieOf,
  },
];

/** An app whose answer says whether the visitor was known, for hostile requests byte by byte. */
class Target {
  readonly watched: WatchedStore;
  readonly errors: unknown[] = [];
  readonly events: unknown[] = [];
  readonly #server: Server;
  readonly #listener = (event: unknown): void => void this.events.push(event);

  constructor(App: (typeof koaVersions)[number][1], options: SessionsOptions) {
    this.watched = watchedStore(options.store);
    const app = new App();
    app.on("error", (error) => this.errors.push(error));
    app.use(session({ ...options, store: this.watched.store }));
    app.use((ctx) => {
      if (ctx.path === "/seed") ctx.session.set("n", 1);
      ctx.body = ctx.session.isNew ? "stranger" : "known";
    });
    // Links are rendered after the commit; this stands for a page that has them.
    app.middleware.unshift(async (ctx, next) => {
      await next();
      if (ctx.path === "/seed") ctx.body = `id=${ctx.session.id}`;
    });
    const answer = app.callback();
    this.#server = createServer(
      { maxHeaderSize: 4 * 1024 * 1024 },
      (req, res) => void answer(req, res),
    );
  }

  async open(): Promise<void> {
    for (const name of CHANNELS) subscribe(`lanai:session:${name}`, this.#listener);
    await once(this.#server.listen(0, "127.0.0.1"), "listening");
  }

  close(): void {
    for (const name of CHANNELS) unsubscribe(`lanai:session:${name}`, this.#listener);
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** The whole response, or what the HTTP parser answered. */
  async send({ path = "/", headers = [] }: Presented): Promise<string> {
    const socket = connect((this.#server.address() as AddressInfo).port, "127.0.0.1");
    socket.on("error", () => {});
    const lines = [`GET ${path} HTTP/1.1`, "Host: a", "Connection: close", ...headers, "", ""];
    socket.end(Buffer.from(lines.join("\r\n"), "latin1"));
    return text(socket);
  }
}

/**
 * Values that no client of ours sends. None can be an id of 43 characters of base64url, nor begins as
 * a sealed session does.
 */
const HOSTILE: readonly [string, string][] = [
  ["spaces", "   "],
  ["1 MB", "a".repeat(1024 * 1024)],
  ["__proto__", "__proto__"],
  ["constructor", "constructor"],
  ["toString", "toString"],
  ["a path", "../../../../etc/passwd"],
  ["a quote", '"'],
  ["broken percent-encoding", "%E0%A4%A"],
  ["an encoded U+0000", "a%00b"],
  ["bytes above ASCII", "\xff\xfe\xfd"],
  ["an emoji in UTF-8", Buffer.from("😀").toString("latin1")],
  ["a tab", "a\tb"],
  ["JSON", '{"$ne":null}'],
  ["Redis's line ends, encoded", "a%0d%0aDEL%20*"],
  ["SQL", "' OR 1=1 --"],
  ["an id with a character too many", "A".repeat(44)],
  ["an id with one too few", "A".repeat(42)],
  ["an id in another spelling", `${"A".repeat(42)}B`],
  ["an id of uuidIds", uuidIds().generate() as string],
  ["an id of sha1Ids", sha1Ids().generate() as string],
  ["a number", "1"],
  ["a dot", "."],
];

/** Node refuses these before any middleware. */
const CONTROL: readonly [string, string][] = [
  ["U+0000", "a\0b"],
  ["escape", "a\x1bb"],
  ["a lone carriage return", "a\rb"],
  ["delete", "a\x7fb"],
];

describe.each(koaVersions)("%s", (_version, App) => {
  describe.each(transports)("$name", (transport) => {
    let target: Target;
    let id: string;

    beforeAll(async () => {
      const { tracker, store } = transport;
      target = new Target(App, { tracker: tracker(), ...(store && { store: store() }) });
      await target.open();
      id = transport.idOf(await target.send({ path: "/seed" })) ?? "";
      expect(await target.send(transport.present(id))).toMatch(/known$/);
    });
    afterAll(() => target.close());

    /** Sends it and expects an anonymous visitor, no store call and no trace of the value. */
    async function expectStranger(presented: Presented, value: string): Promise<void> {
      const { calls } = target.watched;
      calls.length = 0;
      target.events.length = 0;
      const log = (["log", "info", "warn", "error", "debug"] as const).map((it) =>
        vi.spyOn(console, it).mockImplementation(() => {}),
      );
      const written = vi.spyOn(process.stderr, "write");
      const response = await target.send(presented);
      const lines = [...log.flatMap((it) => it.mock.calls), ...written.mock.calls];
      for (const it of [...log, written]) it.mockRestore();

      expect(response.slice(0, 12)).toBe("HTTP/1.1 200");
      expect(response).toMatch(/stranger$/);
      expect(response).not.toMatch(/^(set-cookie|session-id):/im);
      expect(calls).toEqual([]);
      expect(target.errors).toEqual([]);
      expect(lines).toEqual([]);
      for (const event of target.events) {
        expect(event).toMatchObject({ level: "warn", reason: expect.stringMatching(/^[a-z]+$/) });
        if (value.length > 4) expect(inspect(event, { depth: 9 }).includes(value)).toBe(false);
      }
    }

    test.each(HOSTILE)("%s is a stranger, without a store call", async (_what, value) => {
      // A request line has no spaces and no bytes above ASCII: those come encoded.
      const sent = transport.name === "query" ? value.replace(/[^!-~]/g, escape) : value;
      await expectStranger(transport.present(sent), value);
    });

    test("an empty value is a stranger, without a store call", () =>
      expectStranger(transport.present(""), ""));

    test.each(CONTROL)("%s is never a 500 and never a store call", async (_what, value) => {
      target.watched.calls.length = 0;
      const response = await target.send(transport.present(value));
      expect(response).toMatch(/^HTTP\/1\.1 (200|400) /);
      expect(response).not.toMatch(/known$/);
      expect(target.watched.calls).toEqual([]);
      expect(target.errors).toEqual([]);
    });

    test("the value and something more is a stranger, without a store call", async () => {
      for (const value of [`${id}=`, `${id}%20`, `${id}.`, `${id},${id}`, `x${id}`, id.slice(1)]) {
        await expectStranger(transport.present(value), value);
      }
    });

    test("random mutations of a valid value are strangers, and none is a 500", async () => {
      const random = randomFrom(seed);
      const { calls } = target.watched;
      for (let i = 0; i < (isLong ? 2_000 : 200); i++) {
        const value = mutated(id, random);
        calls.length = 0;
        const response = await target.send(transport.present(value));
        const told = `LANAI_SEED=${seed}, mutation ${i}`;
        expect(response, told).toMatch(/^HTTP\/1\.1 (200|400) /);
        expect(response, told).not.toMatch(/known$/);
        // A mutation may happen to have the form of an id: that costs one load, and no more.
        expect(
          calls.filter((it) => it !== "load"),
          told,
        ).toEqual([]);
        if (transport.name === "signed cookie") expect(calls, told).toEqual([]);
      }
      expect(target.errors).toEqual([]);
      expect(await target.send(transport.present(id))).toMatch(/known$/);
    });
  });

  test("S18: a malformed token by one route takes no place of one by another", async () => {
    const tracker = firstOf(queryTracker(), cookieTracker(), headerTracker());
    const target = new Target(App, { tracker });
    await target.open();
    try {
      const seeded = await target.send({ path: "/seed" });
      const id = /id=([\w-]{43})$/.exec(seeded)?.[1];
      const path = `/?${Array.from({ length: 20 }, (_, n) => `sid=no-${n}`).join("&")}`;
      for (const header of [`Cookie: sid=a; sid=b; sid=${id}`, `Session-ID: ${id}`]) {
        target.watched.calls.length = 0;
        const headers = header.startsWith("Cookie") ? [header] : ["Cookie: sid=a; sid=b", header];
        expect(await target.send({ path, headers })).toMatch(/known$/);
        expect(target.watched.calls).toEqual(["load"]);
      }
      const other = (n: number) => `${n}${"A".repeat(42)}`;
      target.watched.calls.length = 0;
      const cookies = `Cookie: sid=no; sid=${other(1)}; sid=${other(2)}; sid=${other(3)}`;
      await target.send({ path, headers: [cookies, `Session-ID: ${id}`] });
      expect(target.watched.calls).toEqual(["load", "load", "load"]);
    } finally {
      target.close();
    }
  });

  describe("only in cookies", () => {
    async function withCookies(
      options: SessionsOptions,
      use: (target: Target, id: string) => Promise<void>,
    ) {
      const target = new Target(App, options);
      await target.open();
      try {
        await use(target, cookieOf(await target.send({ path: "/seed" })) ?? "");
        expect(target.errors).toEqual([]);
      } finally {
        target.close();
      }
    }

    test("two cookies of one name that open different sessions are refused", () =>
      withCookies({}, async (target, id) => {
        const other = cookieOf(await target.send({ path: "/seed" }));
        const many = Array.from({ length: 5_000 }, () => `sid=${other}`).join("; ");
        for (const value of [`sid=${id}; sid=${other}`, `sid=${id}; ${many}`]) {
          target.watched.calls.length = 0;
          expect(await target.send({ headers: [`Cookie: ${value}`] })).toMatch(/stranger$/);
          expect(target.watched.calls).toEqual(["load", "load"]);
        }
      }));

    test("of many cookies of one name three are looked at, and one that opens a session counts", () =>
      withCookies({}, async (target, id) => {
        const dead = Array.from({ length: 5_000 }, () => `sid=${"A".repeat(43)}`).join("; ");
        const other = (n: number) => `sid=${n}${"A".repeat(42)}`;
        for (const value of [`sid=; sid=${id}`, `${other(1)}; ${other(2)}; sid=${id}; ${dead}`]) {
          expect(await target.send({ headers: [`Cookie: ${value}`] })).toMatch(/known$/);
        }
        target.watched.calls.length = 0;
        const late = [1, 2, 3, 4, 5].map(other).join("; ");
        expect(await target.send({ headers: [`Cookie: ${late}; sid=${id}`] })).toMatch(/stranger$/);
        expect(target.watched.calls).toEqual(["load", "load", "load"]);
      }));

    test.each(transports.filter(({ present }) => present === cookie))(
      "S18: malformed ones before a good one take no place ($name)",
      ({ tracker, store }) =>
        withCookies(
          { tracker: tracker(), ...(store && { store: store() }) },
          async (target, id) => {
            target.watched.calls.length = 0;
            const bad = Array.from({ length: 50 }, (_, n) => `sid=no-${n}; sid=; sid="${n}.x"`);
            for (const before of [bad.slice(0, 3), bad]) {
              const header = `Cookie: ${before.join("; ")}; sid=${id}`;
              expect(await target.send({ headers: [header] })).toMatch(/known$/);
            }
            expect(target.watched.calls).toEqual(["load", "load"]);
          },
        ),
    );

    test("many equal ones are the one they are", () =>
      withCookies({}, async (target, id) => {
        const many = Array(100).fill(`sid=${id}`).join("; ");
        expect(await target.send({ headers: [`Cookie: ${many}`] })).toMatch(/known$/);
      }));

    test("names that only look alike are not read", () =>
      withCookies({}, async (target, id) => {
        target.watched.calls.length = 0;
        for (const name of ["SID", "xsid", "sid2", "s%69d", "__Host-sid", "a=b; x-sid", "a=sid"]) {
          expect(await target.send({ headers: [`Cookie: ${name}=${id}`] })).toMatch(/stranger$/);
        }
        expect(target.watched.calls).toEqual([]);
      }));

    test("headers that aren't pairs are no cookies", () =>
      withCookies({}, async (target) => {
        target.watched.calls.length = 0;
        for (const value of [
          "",
          ";;;;",
          "=",
          "sid",
          "; sid ;",
          "=sid=",
          "\t",
          "a".repeat(1024 * 1024),
        ]) {
          expect(await target.send({ headers: [`Cookie: ${value}`] })).toMatch(/stranger$/);
        }
        expect(target.watched.calls).toEqual([]);
      }));

    test("a wrong signature is refused, without a store call", () =>
      withCookies({ tracker: cookieTracker({ keys: KEYS }) }, async (target, value) => {
        const [id, signature] = value.split(".") as [string, string];
        const flipped = signature.replace(/^./, (it) => (it === "A" ? "B" : "A"));
        target.watched.calls.length = 0;
        target.events.length = 0;
        const forged = [
          id,
          `${id}.`,
          `${id}.${flipped}`,
          `.${signature}`,
          `${id}.${signature}=`,
          `${id}.${signature}.${signature}`,
        ];
        for (const it of forged) {
          expect(await target.send({ headers: [`Cookie: sid=${it}`] })).toMatch(/stranger$/);
        }
        expect(target.watched.calls).toEqual([]);
        expect(target.events).toEqual(
          forged.map(() => expect.objectContaining({ reason: "signature" })),
        );
      }));
  });
});

/** The value with a few characters replaced, dropped, inserted, doubled or swapped; never itself. */
function mutated(value: string, below: Random): string {
  // What a request line and a header can carry, so that most of them reach the middleware.
  const character = () => String.fromCharCode(33 + below(94)).replace(/[;,&#+%]/, "-");
  let result = value;
  for (let left = 1 + below(4); left > 0; left--) {
    const at = below(result.length);
    const [head, tail] = [result.slice(0, at), result.slice(at)];
    result =
      [
        head + character() + tail.slice(1),
        head + tail.slice(1),
        head + character() + tail,
        head + tail + tail,
        tail + head,
      ][below(5)] ?? head;
  }
  return result === value ? `${value}x` : result;
}
