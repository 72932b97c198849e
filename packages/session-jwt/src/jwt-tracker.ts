import {
  type Admission,
  headerTracker,
  type Id,
  SessionError,
  type SessionRecord,
  type Tracked,
  type Tracker,
} from "@lanai/session";
import type { ExtendableContext } from "koa";
import { JwtError } from "./errors.ts";
import type { KeySet } from "./keys.ts";
import { type JwtRefusal, refusals, refuse, told } from "./refusals.ts";
import { type Claims, isInactive, openToken, signToken } from "./token.ts";
import { checkTime, checkTokenOptions, type TokenOptions } from "./token-options.ts";

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
   * Milliseconds after a fresh token's first use in which requests that were under way with the one
   * before it are still served. From 0 to 60,000. Default: 10,000.
   */
  readonly overlap?: number;
  /** Whether a refused token is answered with a 401, and not as if there were none. Default: false. */
  readonly strict?: boolean;
  /**
   * The public name of the client that asks, from a cookie that scripts can't read: with it a token is
   * worth nothing at another client. Called for each token that is read or issued.
   */
  readonly client?: (ctx: ExtendableContext) => string | undefined;
}

interface PointerClaims extends Claims {
  readonly sid: Id;
  /** How many tokens came before it: each renewal counts one up. */
  readonly gen: number;
  readonly cid?: string;
}

/** A token that a request brought, and what its client is to have in its place. */
interface Brought {
  readonly text: string;
  readonly id: Id;
  readonly gen: number;
  readonly expired: boolean;
  /** In the last third of its life, or after. */
  readonly due: boolean;
  answer: "the same" | "a fresh one" | "nothing";
}

/** What a session's record knows of its tokens. */
interface Generation {
  readonly gen: number;
  /** When the newest token was first used, by the store's clock. Absent: it wasn't yet. */
  readonly usedAt?: number;
}

const TYP = "sess+jwt";
const ENTRY = "jwt:generation";
const MAX_BYTES = 4096;
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

const OPTIONS = ["carrier", "expiresIn", "grace", "overlap", "strict", "client"];

/**
 * Sends a session's id in a signed token, so that what was made up or altered never costs a store
 * call. The token only points to the session: the store decides whether it lives, so a sign-out ends
 * all its tokens at once.
 *
 * **Renewal.** A token in the last third of its life, or expired for less than `grace`, is answered
 * with a fresh one of the next generation, if the store still has the session; an expired token by
 * itself grants nothing (RFC 7519, 4.1.4). Until that is first used, requests with the one before get
 * it too: those that ran in parallel, and a retry after a lost answer. After that the one before is
 * served for `overlap`, and gets nothing. Then it is proof that two hold it: the session ends
 * (RFC 9700, 4.14.2).
 *
 * A token that is refused makes the request anonymous, or with `strict` a 401; `requireSession` does
 * the latter for a group or a route. `refusals` lists all reasons.
 *
 * `get` also takes a token from elsewhere, such as a socket's first message. On a store that carries
 * its data there are no generations and no `grace`.
 *
 * @throws TypeError or RangeError for options that don't exist or can't be, without their secrets.
 */
export function jwtTracker(options: JwtTrackerOptions): Tracker {
  const { source, issuer, audience, clockTolerance, clock } = checkTokenOptions(
    "jwtTracker",
    options,
    OPTIONS,
  );
  validate(options);
  const { carrier = headerTracker(), strict = false, client } = options;
  const { expiresIn = 15 * MINUTE, grace = DAY, overlap = 10_000 } = options;
  const terms = { typ: TYP, issuer, audience, maxBytes: MAX_BYTES };
  /** For `admit`: what became of a token. For `set`: the one that the request itself brought. */
  const tokens = new WeakMap<Tracked, Brought>();
  const brought = new WeakMap<ExtendableContext, Brought>();

  const read = (ctx: ExtendableContext, text: string, keys: KeySet): Tracked => {
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
      const carried = text === undefined ? await carrier.get(ctx) : { id: text };
      if (!carried || carried.id === "") return undefined;
      if (carried.id === undefined) return { ...refusals.malformed, ...carried };
      const tracked = read(ctx, carried.id, await source());
      const token = tokens.get(tracked);
      if (token && text === undefined) brought.set(ctx, token);
      return tracked;
    },

    admit(_ctx, tracked, record, { now, carriesData }) {
      const token = tokens.get(tracked);
      if (!token) return { status: "accept" };
      const admit = (answer: Brought["answer"], change?: Generation): Admission => {
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
      return { ...reject("reused"), destroy: true };
    },

    async set(ctx, id, record, maxAge) {
      const token = brought.get(ctx);
      const answer = token?.id === id ? token.answer : "a fresh one";
      // The newest token is not for whoever still brings the one before: they had their answer.
      if (answer === "nothing") return;
      const isKept = token !== undefined && answer === "the same";
      const text = isKept ? token.text : await issue(id, record, clientOf(ctx));
      await carrier.set(ctx, text, record, maxAge);
    },

    clear: (ctx) => carrier.clear(ctx),

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
  return text === undefined ? { gen: 0 } : JSON.parse(text);
}

/** Compared and set: of the requests that renew a token at the same moment one does. */
const replace = (record: SessionRecord, generation: Generation) => ({
  expect: new Map([[ENTRY, record.values.get(ENTRY)]]),
  set: new Map([[ENTRY, JSON.stringify(generation)]]),
  touch: true as const,
});

function validate({ carrier, expiresIn, grace, overlap, strict, client }: JwtTrackerOptions): void {
  const owner = "jwtTracker";
  if (carrier !== undefined && typeof carrier?.get !== "function") {
    throw new TypeError(`${owner}: carrier must be a tracker, such as cookieTracker()`);
  }
  if (expiresIn !== undefined) checkTime(owner, "expiresIn", expiresIn, 1000, DAY);
  if (grace !== undefined) checkTime(owner, "grace", grace, 0, 30 * DAY);
  if (overlap !== undefined) checkTime(owner, "overlap", overlap, 0, MINUTE);
  if (strict !== undefined && typeof strict !== "boolean") {
    throw new TypeError(`${owner}: strict must be a boolean, got ${typeof strict}`);
  }
  if (client !== undefined && typeof client !== "function") {
    throw new TypeError(`${owner}: client must be a function, got ${typeof client}`);
  }
}
