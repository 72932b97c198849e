import { parseJson } from "@lanai/connection/json";
import { duration, flag, func, type Rules, withMethods } from "@lanai/connection/options";
import { headerTracker } from "@lanai/session";
import {
  type Admission,
  type Id,
  type PresentedToken,
  SessionError,
  type SessionRecord,
  type Tracker,
} from "@lanai/session/tracker";
import type { ExtendableContext } from "koa";
import { JwtError } from "./errors.ts";
import { events } from "./events.ts";
import type { KeySet } from "./keys.ts";
import { type JwtRefusal, refusals, refuse, told } from "./refusals.ts";
import { type Claims, hasForm, isInactive, kidOf, openToken, signToken } from "./token.ts";
import { checkTokenOptions, type TokenOptions } from "./token-options.ts";

/** Options of `jwtTracker`, whose token is a signed pointer to a session. */
export interface JwtTrackerOptions extends TokenOptions {
  /**
   * Carries the tokens: `headerTracker()`, `bearerTracker()`, `cookieTracker()` or one of your own.
   * Default: `headerTracker()`, which is `Session-ID` both ways.
   */
  readonly carrier?: Tracker;
  /**
   * Milliseconds that a token is valid. In the last third of that a fresh one goes out. From 1,000 to
   * 86,400,000. Default: 15 minutes.
   */
  readonly expiresIn?: number;
  /**
   * Milliseconds after its expiry in which a token may still be exchanged for a fresh one, if its
   * session lives. From 0 (never) to 30 days. Default: 24 hours.
   */
  readonly grace?: number;
  /**
   * Milliseconds after a fresh token's first use in which the one before it is still served although it
   * has expired. From 0 to 60,000. Default: 10,000.
   */
  readonly overlap?: number;
  /**
   * Whether the response to a refused token is a 401, instead of an anonymous session. Default:
   * false.
   */
  readonly strict?: boolean;
  /**
   * The public name of the client that asks, from a cookie that scripts can't read: with it a token is
   * worth nothing at another client. Called for each token that is read or issued.
   */
  readonly client?: (ctx: ExtendableContext) => string | undefined;
}

interface PointerClaims extends Claims {
  readonly sid: Id;
  /** The number of tokens before it: each renewal adds one. */
  readonly gen: number;
  readonly cid?: string;
}

/** A token that a request brought, and what its client is to have in its place. */
interface CheckedToken {
  readonly text: string;
  readonly id: Id;
  readonly gen: number;
  readonly expired: boolean;
  /** In the last third of its life, or after. */
  readonly due: boolean;
  answer: "the same" | "a fresh one" | "nothing";
}

/** The part of a session's record that is about its tokens. */
interface Generation {
  readonly gen: number;
  /**
   * The time when the newest token was first used, by the store's clock. Absent if it hasn't been.
   */
  readonly usedAt?: number;
}

const TYP = "sess+jwt";
const ENTRY = "jwt:generation";
const MAX_BYTES = 4096;
/** The greatest number of times that one request asks for keys. */
const MAX_KEY_CALLS = 3;
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

const RULES: Rules<Omit<JwtTrackerOptions, keyof TokenOptions>> = {
  carrier: withMethods("a tracker, such as cookieTracker()", "get"),
  expiresIn: duration(1_000, DAY),
  grace: duration(0, 30 * DAY),
  overlap: duration(0, MINUTE),
  strict: flag,
  client: func,
};

/**
 * Sends a session's id in a signed token, so that what was made up or altered never costs a store
 * call. The token only points to the session: the store decides whether it lives, so a sign-out
 * ends all its tokens at once.
 *
 * **Renewal.** If a token is in the last third of its life, or has been expired for less than
 * `grace`, and the store still has the session, the response carries a fresh one of the next
 * generation; an expired token by itself grants nothing (RFC 7519, 4.1.4). Until that is first
 * used, requests with the one before get it too: those that ran in parallel, and a retry after a
 * lost answer. After that the one before is served until it expires, or for `overlap` if that is
 * longer, and gets nothing: a request may have waited in a queue. Its use after `overlap` is
 * reported. After its expiry it is proof that two hold it: the session ends (RFC 9700, 4.14.2). A
 * theft is therefore noticed up to `expiresIn` later.
 *
 * A token that is refused makes the request anonymous, or with `strict` a 401; `requireSession`
 * does the latter for a group or a route. `refusals` lists all reasons.
 *
 * `get` also takes a token from elsewhere, such as a socket's first message. On a store that
 * carries its data there are no generations and no `grace`.
 *
 * @throws TypeError or RangeError for options that don't exist or can't be, without their secrets.
 */
export function jwtTracker(options: JwtTrackerOptions): Tracker {
  const { source, issuer, audience, clockTolerance, clock } = checkTokenOptions(
    "jwtTracker",
    options,
    RULES,
  );
  const { carrier = headerTracker(), strict = false, client } = options;
  const { expiresIn = 15 * MINUTE, grace = DAY, overlap = 10_000 } = options;
  const terms = { typ: TYP, issuer, audience, maxBytes: MAX_BYTES };
  /** For `admit`: what became of a token. For `set`: the one that the request itself brought. */
  const tokens = new WeakMap<PresentedToken, CheckedToken>();
  const brought = new WeakMap<ExtendableContext, readonly CheckedToken[]>();

  const read = (ctx: ExtendableContext, text: string, keys: KeySet): PresentedToken => {
    const { claims, refused } = openToken<PointerClaims>(text, terms, keys, isPointer);
    if (!claims) return refuse(refused);
    const { sid: id, gen, cid, iat, exp } = claims;
    if (client && (cid === undefined || cid !== client(ctx))) return refuse("client");
    const now = clock();
    if (isInactive(claims, now, clockTolerance)) return refuse("inactive");
    const left = exp * 1000 - now;
    if (left <= -grace) return refuse("expired");
    const due = left < ((exp - iat) * 1000) / 3;
    const tracked = { id, ...SIGNED };
    tokens.set(tracked, { text, id, gen, due, expired: left <= 0, answer: "the same" });
    return tracked;
  };

  /** Asks again only for a `kid` that the keys which came last lack: a request may bring many tokens. */
  const keysOfRequest = () => {
    let known: KeySet | undefined;
    let calls = 0;
    return async (kid: string | undefined): Promise<KeySet> => {
      const isKnown = kid === undefined || known?.byKid.has(kid) === true || calls >= MAX_KEY_CALLS;
      if (known !== undefined && isKnown) return known;
      calls += 1;
      known = await source(kid);
      return known;
    };
  };

  const issue = async (id: Id, record: SessionRecord | undefined, cid: string | undefined) => {
    const iat = Math.floor(clock() / 1000);
    const claims: PointerClaims = {
      iss: issuer,
      aud: audience,
      sid: id,
      gen: generationOf(record).gen,
      ...(cid !== undefined && { cid }),
      iat,
      exp: iat + Math.ceil(expiresIn / 1000),
    };
    const text = signToken(claims, TYP, await source());
    if (text.length <= MAX_BYTES) return text;
    throw new SessionError(
      "ERR_SESSION_TOO_LARGE",
      `the token has ${text.length} bytes, and ${MAX_BYTES} are read at most: of the ids, or of issuer and audience, one is too long`,
    );
  };

  const clientOf = (ctx: ExtendableContext | undefined): string | undefined => {
    if (!client) return undefined;
    const cid = ctx && client(ctx);
    if (cid !== undefined) return cid;
    throw new JwtError(
      "ERR_JWT_NO_CLIENT",
      "a token is bound to its client, and client(ctx) knows none: mount what names clients first",
    );
  };

  const { present } = carrier;
  return {
    ...(carrier.vary !== undefined && { vary: carrier.vary }),
    ...(carrier.challenge !== undefined && { challenge: carrier.challenge }),
    strict,

    async get(ctx, text) {
      const carried = text === undefined ? await carrier.get(ctx) : [{ id: text }];
      const present = carried.filter(({ id }) => id !== "");
      if (present.length === 0) return [];
      const keysFor = keysOfRequest();
      const all: PresentedToken[] = [];
      for (const it of present) {
        if (it.id === undefined) all.push({ ...refusals.malformed, ...it });
        else if (!hasForm(it.id, MAX_BYTES)) all.push(refuse("malformed"));
        else all.push(read(ctx, it.id, await keysFor(kidOf(it.id, MAX_BYTES))));
      }
      if (text === undefined)
        brought.set(
          ctx,
          all.flatMap((it) => tokens.get(it) ?? []),
        );
      return all;
    },

    admit(_ctx, tracked, record, { now, carriesData }) {
      const token = tokens.get(tracked);
      if (!token) return { status: "accept" };
      const admit = (answer: CheckedToken["answer"], change?: Generation): Admission => {
        token.answer = answer;
        return {
          status: "accept",
          reissue: answer === "a fresh one",
          ...(change && { change: replace(record, change) }),
        };
      };
      if (carriesData) {
        if (token.expired) return { ...reject("expired"), closeCode: 4403 };
        return admit(token.due ? "a fresh one" : "the same");
      }
      const { gen, usedAt } = generationOf(record);
      if (token.gen > gen) return reject("ahead");
      if (token.gen === gen) {
        if (token.due) return admit("a fresh one", { gen: gen + 1 });
        // The first generation has no one before it that its use would end.
        const isFirstUse = gen > 0 && usedAt === undefined;
        return admit("the same", isFirstUse ? { gen, usedAt: now } : undefined);
      }
      if (token.gen === gen - 1 && usedAt === undefined) return admit("a fresh one");
      if (token.gen === gen - 1 && usedAt !== undefined && now - usedAt < overlap) {
        return admit("nothing");
      }
      if (token.expired) return { ...reject("reused"), destroy: true };
      // It may have waited in a queue since before the renewal: within its own life it is served.
      events.report("superseded", record.publicId, {
        level: "warn",
        publicId: record.publicId,
        message: "a token was used after its successor, and before its own expiry",
      });
      return admit("nothing");
    },

    async set(ctx, id, record, maxAge) {
      const token = brought.get(ctx)?.find((it) => it.id === id);
      const answer = token?.answer ?? "a fresh one";
      // The newest token is not for whoever still brings the one before: they had their answer.
      if (answer === "nothing") return;
      const isKept = token !== undefined && answer === "the same";
      const text = isKept ? token.text : await issue(id, record, clientOf(ctx));
      await carrier.set(ctx, text, record, maxAge);
    },

    clear: (ctx) => carrier.clear(ctx),

    // The id stands in the token for all to read: it must open nothing in another tracker.
    tokenKind: () => "jwt",

    ...(present && {
      present: async (id, presented) =>
        present(await issue(id, presented.record, clientOf(presented.ctx)), presented),
    }),
  };
}

type Rejection = Extract<Admission, { status: "refuse" }>;

const reject = (reason: JwtRefusal): Rejection => ({ status: "refuse", ...told(reason) });

/** Nobody can have guessed the id: we signed it, or somebody with our key. */
const SIGNED = { ifMalformed: told("claims"), ifUnknown: told("ended") };

function isPointer({ sid, gen, cid, iat, exp }: Record<string, unknown>): boolean {
  return (
    typeof sid === "string" &&
    sid !== "" &&
    Number.isSafeInteger(gen) &&
    Number(gen) >= 0 &&
    (cid === undefined || typeof cid === "string") &&
    // Whoever else signs with our key must not give longer lives than we may.
    (Number(exp) - Number(iat)) * 1000 <= DAY
  );
}

function generationOf(record: SessionRecord | undefined): Generation {
  const text = record?.values.get(ENTRY);
  return text === undefined ? { gen: 0 } : generationIn(text);
}

/** @throws {SessionError} `ERR_SESSION_DECODE` for what this tracker hasn't written. */
export function generationIn(text: string): Generation {
  let it: unknown;
  try {
    it = parseJson(text, 1);
  } catch {
    // Its message would quote what is stored.
  }
  const { gen, usedAt } = (it ?? {}) as Partial<Record<keyof Generation, unknown>>;
  if (isCount(gen) && usedAt === undefined) return { gen };
  if (isCount(gen) && typeof usedAt === "number") return { gen, usedAt };
  throw new SessionError("ERR_SESSION_DECODE", `a session's entry ${ENTRY} can't be read`);
}

const isCount = (it: unknown): it is number => Number.isSafeInteger(it) && (it as number) >= 0;

/** Compared and set: of the requests that renew a token at the same moment one does. */
const replace = (record: SessionRecord, generation: Generation) => ({
  expect: new Map([[ENTRY, record.values.get(ENTRY)]]),
  set: new Map([[ENTRY, JSON.stringify(generation)]]),
  touch: true as const,
});
