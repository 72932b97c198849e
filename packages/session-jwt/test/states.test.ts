import { readFileSync } from "node:fs";
import { cookieTracker, headerTracker, sealedStore, type Tracker } from "@lanai/session";
import { bearerTracker, type JwtKey, type JwtRefusal, refusals } from "@lanai/session-jwt";
import jsonwebtoken from "jsonwebtoken";
import { describe, expect, test } from "vitest";
import { listen } from "../../session/test/site.ts";
import { contextOf } from "../../session/test/tracker-context.ts";
import { ANONYMOUS, refusedAs, TABLE } from "./table.ts";
import {
  type Answer,
  send,
  type TokenSite,
  type TokenSiteOptions,
  tokenSite,
} from "./token-site.ts";
import { payloadOf, SECRET } from "./tokens.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Sessions that outlive the tokens. */
const sessions = { idleTimeout: 30 * DAY, absoluteTimeout: 60 * DAY };

/** A token that is properly signed, and refused for what its session, or the time, says. */
interface State {
  readonly what: string;
  readonly reason: JwtRefusal;
  /** Default: as the table has it. */
  readonly closeCode?: number;
  readonly options?: TokenSiteOptions;
  /** Does what leads to it, and answers the token. */
  token(site: TokenSite): Promise<string | undefined>;
}

const signed = (claims: object, kid = "1") =>
  jsonwebtoken.sign(claims, SECRET, { header: { alg: "HS256", kid, typ: "sess+jwt" } });
const signIn = async (site: TokenSite) => (await site.visitor().signIn()).token ?? "";
const later = (ms: number) => async (site: TokenSite) => {
  const token = await signIn(site);
  site.advance(ms);
  return token;
};

const states: readonly State[] = [
  {
    what: "bound to another client",
    reason: "client",
    options: { client: (ctx) => ctx.cookies.get("cid") },
    token: async (site) => (await send(`${site.url}/sign-in`, { cookie: "cid=ada" })).token,
  },
  {
    what: "of a generation that the store never had",
    reason: "ahead",
    token: async (site) => signed({ ...payloadOf(await signIn(site)), gen: 7 }),
  },
  {
    what: "used again after its successor",
    reason: "reused",
    token: async (site) => {
      const ada = await site.visitor().signIn();
      const { token } = ada;
      site.advance(HOUR);
      await ada.get("/");
      await ada.get("/");
      site.advance(11_000);
      return token;
    },
  },
  {
    what: "of a session that was signed out",
    reason: "ended",
    token: async (site) => {
      const ada = await site.visitor().signIn();
      const { token } = ada;
      await ada.get("/sign-out");
      return token;
    },
  },
  {
    what: "of a session that expired in the store",
    reason: "ended",
    options: { sessions: { idleTimeout: 5 * MINUTE } },
    token: later(6 * MINUTE),
  },
  {
    what: "of a session that the store never had",
    reason: "ended",
    token: async (site) => signed({ ...payloadOf(await signIn(site)), sid: "A".repeat(43) }),
  },
  {
    what: "with a sid that is no id of ours",
    reason: "claims",
    token: async (site) => signed({ ...payloadOf(await signIn(site)), sid: "../../etc/passwd" }),
  },
  { what: "from the future", reason: "inactive", token: later(-MINUTE) },
  { what: "expired for longer than its grace", reason: "expired", token: later(DAY + HOUR) },
  {
    what: "expired, without a grace",
    reason: "expired",
    options: { grace: 0 },
    token: later(HOUR),
  },
  {
    what: "expired, on a store that carries its data",
    reason: "expired",
    closeCode: 4403,
    options: { store: () => sealedStore({ context: "app", keys: [SECRET] }) },
    token: later(20 * MINUTE),
  },
];

const seen = ({ status, user, token, headers }: Answer) => ({
  status,
  user,
  token,
  challenge: headers["www-authenticate"],
});

describe.each(states)("a token $what", ({ reason, options, token: lead, ...state }) => {
  const { level, shown, closeCode } = { ...TABLE[reason], ...state };

  /** Each on a site of its own: to judge a token may end its session. */
  const judged = async <T>(
    strict: boolean,
    use: (site: TokenSite, token: string) => Promise<T>,
  ) => {
    await using site = await tokenSite({ sessions, ...options, strict });
    const token = (await lead(site)) ?? "";
    using heard = listen();
    const result = await use(site, token);
    expect(heard.events.find(({ name }) => name === "refused")?.event).toMatchObject({
      reason,
      level,
    });
    return result;
  };
  const ask = (path: string) => async (site: TokenSite, token: string) =>
    seen(await site.visitor(token).ask(path));

  test(`is ${reason}: anonymous, or a 401 where the route or the tracker is strict`, async () => {
    expect(await judged(false, ask("/"))).toEqual(ANONYMOUS);
    expect(await judged(false, ask("/private"))).toEqual(refusedAs(reason));
    expect(await judged(true, ask("/"))).toEqual(refusedAs(reason));
    expect(await judged(true, ask("/private"))).toEqual(refusedAs(reason));
  });

  test(`closes a socket with ${closeCode}`, async () => {
    expect(
      await judged(false, (site, token) => site.sessions.receive(contextOf({}), token)),
    ).toEqual({ reason: shown, closeCode });
  });
});

test("a token of a session that has had a new id since is a 401 and a 4403, and no event", async () => {
  for (const strict of [false, true]) {
    await using site = await tokenSite({ strict });
    const ada = site.visitor();
    const { token = "" } = await ada.get("/visit");
    await ada.get("/sign-in");
    using heard = listen();
    const before = site.visitor(token);
    expect((await before.ask("/private")).status).toBe(401);
    expect((await before.ask("/")).status).toBe(strict ? 401 : 200);
    expect(await site.sessions.receive(contextOf({}), token)).toEqual({
      reason: "renewed",
      closeCode: 4403,
    });
    expect(heard.names()).toEqual([]);
  }
});

describe("two tokens in one request", () => {
  test.each<[string, JwtRefusal, Tracker]>([
    ["Session-ID headers", "malformed", headerTracker()],
    ["Bearer headers", "ambiguous", bearerTracker()],
    ["cookies", "ambiguous", cookieTracker()],
  ])("as %s are %s: neither is guessed", async (_, reason, carrier) => {
    for (const strict of [false, true]) {
      await using site = await tokenSite({ strict, carrier });
      const { headers } = await site.sessions.create({ userId: "ada" });
      expect((await send(site.url, headers)).user).toBe("ada");
      const others = await site.sessions.create({ userId: "bob" });
      const [[name, hers] = ["", ""]] = Object.entries(headers);
      const his = others.headers[name] ?? "";
      const both = { [name]: name === "cookie" ? `${hers}; ${his}` : [hers, his] };

      using heard = listen();
      const refused = await send(`${site.url}/private`, both);
      expect([refused.status, refused.headers["www-authenticate"]]).toEqual([
        401,
        // Of cookies both are looked at, and open two sessions.
        expect.stringContaining(`reason="${name === "cookie" ? "ambiguous" : "invalid"}"`),
      ]);
      expect(await send(site.url, both)).toMatchObject(
        strict ? { status: 401, user: undefined } : { status: 200, user: "nobody" },
      );
      const level = name === "cookie" ? "warn" : "info";
      expect(heard.events.map(({ event }) => [event.reason, event.level])).toEqual([
        [reason, level],
        [reason, level],
      ]);
    }
  });
});

test("S18: malformed and forged tokens before a good one take no place, and ask for keys three times", async () => {
  for (const strict of [false, true]) {
    const asked: (string | undefined)[] = [];
    const keys = (kid?: string): readonly JwtKey[] => {
      asked.push(kid);
      return [{ kid: "1", alg: "HS256", key: SECRET }];
    };
    await using site = await tokenSite({ carrier: cookieTracker(), keys, strict });
    const { headers } = await site.sessions.create({ userId: "ada" });
    const good = headers.cookie ?? "";
    const bad = ["2", "3", "4", "5"].map((kid) => `sid=${signed({ gen: 0 }, kid)}`);
    for (let n = 10; n < 30; n++) bad.push(`sid=no-${n}`, `${good.slice(0, -8)}AAAAA${n}A`);
    asked.length = 0;
    const cookie = `${bad.join("; ")}; ${good}`;
    expect(await send(site.url, { cookie })).toMatchObject({ status: 200, user: "ada" });
    expect(asked).toEqual(["2", "3", "4"]);
  }
});

test("refusals has every state as the README's table has it", () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const rows = readme.matchAll(/^\| .* \| (`.+`) \| (\w+) \| `(\w+)` \| (\d+) \|$/gm);
  const table = [...rows].flatMap(([, reasons = "", level, shown, closeCode]) =>
    reasons
      .replaceAll("`", "")
      .split(", ")
      .map((reason) => [reason, { shown, level, closeCode: Number(closeCode) }] as const),
  );
  // Of an expired one the README has two rows: the first is the rule.
  expect(Object.fromEntries(table.reverse())).toEqual(TABLE);
  expect(refusals).toEqual(TABLE);
});
