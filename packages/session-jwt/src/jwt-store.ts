import { randomBytes } from "node:crypto";
import { duration, integer, type Rules, required } from "@lanai/connection/options";
import {
  type Change,
  type CommitResult,
  changed,
  type Ended,
  expiresAt,
  holds,
  type Key,
  type Loaded,
  type NewRecord,
  SessionError,
  type SessionRecord,
  type Store,
} from "@lanai/session/store";
import type { KeySet } from "./keys.ts";
import { type Claims, hasForm, isInactive, kidOf, openToken, signToken } from "./token.ts";
import { checkTokenOptions, type TokenOptions } from "./token-options.ts";

/** Options of `jwtStore`, which keeps the whole session in the token. `expiresIn` is required. */
export interface JwtStoreOptions extends TokenOptions {
  /**
   * The longest that a token is valid, in milliseconds: there is no other end for one that was copied.
   * A session that nobody writes to ends then, also if it is read. From 1,000 to 400 days. There is no
   * default.
   */
  readonly expiresIn: number;
  /**
   * The longest token, in bytes. An integer from 512 to 16,384. Default: 4,032, which fits a cookie;
   * a header carries 4,096. More is for trackers of your own.
   */
  readonly maxBytes?: number;
}

/**
 * A store without a memory. By its nature it can't:
 *
 * - *keep a secret*: whoever has the token reads what is in the session, but can't change it;
 * - *revoke*: `destroy` has the client forget its token, but a copy opens the session until it expires;
 * - *merge*: of concurrent requests the one whose answer reaches the client last wins, whole;
 * - *pop once*: of concurrent `pop`s each gets the value, and of `update`s one counts;
 * - *list*: sessions are not found by owner, and a renewal leaves the old token valid;
 * - *be touched by reads*: only a request that writes extends the idle time.
 */
export interface JwtStore extends Store {
  readonly carriesData: { isValid(id: string): boolean };
}

/** A record in JSON. Entries are pairs: no name of one means anything there. */
interface RecordJson extends Omit<SessionRecord, "values" | "owners"> {
  readonly owners: readonly string[];
  readonly values: readonly (readonly [string, string])[];
}

interface DataClaims extends Claims {
  /** Gives a renewed session another token even if nothing else in it is new. */
  readonly jti: string;
  readonly session: RecordJson;
}

const TYP = "sess-data+jwt";
const DAY = 24 * 60 * 60_000;
const MAX_AGE = 400 * DAY;

const RULES: Rules<Omit<JwtStoreOptions, keyof TokenOptions>> = {
  expiresIn: required(duration(1_000, MAX_AGE)),
  maxBytes: integer(512, 16_384),
};

const NONE: Loaded = Object.freeze({ status: "none" });
const GONE: CommitResult = Object.freeze({ status: "gone" });

/**
 * Keeps the session in a signed token, readable for its client, under any tracker: `headerTracker()`,
 * or `cookieTracker()`. There is no server to run and none to ask, and for that it gives up what
 * {@link JwtStore} lists. `sealedStore` of `@lanai/session` is the same with encryption; take this one
 * where others are to verify or read the token.
 *
 * Never without an expiry: `exp` is there always, and `expiresIn` bounds the idle time; 400 days bound
 * the absolute one, also of `Infinity`. The instants are in the token and judged here by `clock`.
 *
 * `create` and `commit` reject with `ERR_SESSION_TOO_LARGE` for what doesn't fit in `maxBytes`.
 *
 * @throws TypeError or RangeError for options that don't exist or can't be, without their secrets.
 */
export function jwtStore(options: JwtStoreOptions): JwtStore {
  const { source, issuer, audience, clockTolerance, clock } = checkTokenOptions(
    "jwtStore",
    options,
    RULES,
  );
  const { expiresIn, maxBytes = 4032 } = options;
  const terms = { typ: TYP, issuer, audience, maxBytes };

  const capped = (record: SessionRecord): SessionRecord => ({
    ...record,
    idle: Math.min(record.idle, expiresIn),
    absolute: Math.min(record.absolute, MAX_AGE),
  });

  const seal = (uncapped: SessionRecord, keys: KeySet): string => {
    const record = capped(uncapped);
    const { owners, values, ...others } = record;
    const claims: DataClaims = {
      iss: issuer,
      aud: audience,
      iat: Math.floor(record.seenAt / 1000),
      exp: Math.max(Math.ceil(expiresAt(record) / 1000), Math.floor(record.seenAt / 1000) + 1),
      jti: randomBytes(12).toString("base64url"),
      session: { ...others, owners: [...owners], values: [...values] },
    };
    const text = signToken(claims, TYP, keys);
    if (text.length <= maxBytes) return text;
    throw new SessionError(
      "ERR_SESSION_TOO_LARGE",
      `jwtStore: the token has ${text.length} bytes, and maxBytes is ${maxBytes}: keep less in it, or use a server-side store`,
    );
  };

  const open = (text: string, keys: KeySet, now: number): SessionRecord | undefined => {
    const { claims } = openToken<DataClaims>(text, terms, keys, isData);
    if (!claims || isInactive(claims, now, clockTolerance) || claims.exp * 1000 <= now) {
      return undefined;
    }
    const { owners, values, ...others } = claims.session;
    // Again at each opening: expiresIn may be shorter now than when the token was signed.
    const record = capped({ ...others, owners: new Set(owners), values: new Map(values) });
    const newest = Math.max(record.createdAt, record.startedAt, record.seenAt);
    return newest <= now + clockTolerance && now < expiresAt(record) ? record : undefined;
  };

  return {
    carriesData: { isValid: (text) => hasForm(text, maxBytes) },

    async load(key: Key): Promise<Loaded> {
      const keys = await source(kidOf(key, maxBytes));
      const now = clock();
      const record = open(key, keys, now);
      return record ? { status: "live", record, now } : NONE;
    },

    async create(_key: Key, { operation: _, ...record }: NewRecord): Promise<Key> {
      const keys = await source();
      const now = clock();
      return seal({ ...record, createdAt: now, startedAt: now, seenAt: now }, keys);
    },

    async commit(key: Key, change: Change): Promise<CommitResult> {
      const keys = await source(kidOf(key, maxBytes));
      const now = clock();
      const record = open(key, keys, now);
      if (!record) return GONE;
      if (!holds(change, record)) return { status: "conflict", record };
      return { status: "saved", key: seal(changed(record, change, now), await source()) };
    },

    async destroy(key: Key): Promise<Ended | undefined> {
      const record = open(key, await source(kidOf(key, maxBytes)), clock());
      return record && { publicId: record.publicId, owners: record.owners };
    },
  };
}

const isString = (value: unknown): value is string => typeof value === "string";
const isText = (value: unknown): boolean =>
  Array.isArray(value) && value.length === 2 && value.every(isString);

/**
 * Checks the content: a signed text may still be of another version, or of another program with our
 * key.
 */
function isData({ session }: Record<string, unknown>): boolean {
  if (typeof session !== "object" || session === null) return false;
  const { publicId, createdAt, startedAt, seenAt, idle, absolute, owners, values, ...others } =
    session as Record<keyof RecordJson, unknown>;
  return (
    Object.keys(others).length === 0 &&
    isString(publicId) &&
    [createdAt, startedAt, seenAt, idle, absolute].every(Number.isFinite) &&
    Array.isArray(owners) &&
    owners.every(isString) &&
    Array.isArray(values) &&
    values.every(isText)
  );
}
