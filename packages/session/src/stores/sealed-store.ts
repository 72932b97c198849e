import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";
import { parseJson } from "@lanai/connection/json";
import {
  checkOptions,
  flag,
  func,
  integer,
  type Rules,
  required,
  value,
} from "@lanai/connection/options";
import { SessionError } from "../errors.ts";
import { type SecretKey, secretKey } from "../secret-key.ts";
import {
  type Change,
  type CommitResult,
  type Ended,
  expiresAt,
  type Key,
  type Loaded,
  type NewRecord,
  type SessionRecord,
  type Store,
} from "../store.ts";
import { changed, holds } from "./changed.ts";

/** Options of `sealedStore`. `context` and `keys` are required. */
export interface SealedStoreOptions {
  /**
   * The purpose of the sessions, such as `"shop"` or `"shop admin"`: 1 to 256 characters. A text
   * that was sealed with one context opens in no other, also with the same keys, so that a cookie
   * of one kind of session, or of another app, is not accepted as one of this kind (RFC 5869, 3.2).
   * Changing it ends all sessions.
   */
  readonly context: string;
  /**
   * Secrets of at least 32 bytes each. The first seals, all open. To rotate, add the new one at the end
   * of the list in every process, then move it to the front in every process, and remove the old one
   * when `maxAge` has passed. Rotate before 2³² seals with one secret (NIST SP 800-38D, 8.3). Removing
   * a secret ends all sessions that it sealed.
   */
  readonly keys: readonly SecretKey[];
  /**
   * Sign only: the client, and whoever sees its cookie, can read everything in the session, but not
   * change it. Sessions of one form don't open in the other. Default: false, which encrypts.
   */
  readonly readableByClient?: boolean;
  /**
   * The longest that a session lives from its start (its creation, or the last login), in
   * milliseconds, also with an absolute timeout of `Infinity`: nothing else ends a stolen one. A
   * finite number above 0. Default: 400 days.
   */
  readonly maxAge?: number;
  /**
   * The longest sealed text, in bytes. An integer from 512 to 16,384. Default: 4,032, so that with a
   * name of up to 64 bytes, the cookie's own signature included, it fits the 4,096 bytes that
   * browsers keep of a cookie (OWASP ASVS 5.0, 3.3.5). More is for other trackers than cookies.
   */
  readonly maxBytes?: number;
  /** The current time in milliseconds since the epoch. Default: `Date.now`. */
  readonly clock?: () => number;
}

/**
 * A store without a memory. By its nature it can't:
 *
 * - *revoke*: `destroy` has the client forget the session, but a copy opens it until it expires;
 * - *merge*: of concurrent requests the one whose answer reaches the client last wins, whole;
 * - *pop once*: of concurrent `pop`s each gets the value, and of `update`s one counts;
 * - *list*: sessions are not found by owner, and a renewal leaves the old text valid;
 * - *be touched by reads*: only a request that writes extends the idle time.
 */
export interface SealedStore extends Store {
  load(key: Key): Loaded;
  create(key: Key, record: NewRecord): Key;
  commit(key: Key, change: Change): CommitResult;
  destroy(key: Key): Ended | undefined;
  readonly carriesData: { isValid(id: string): boolean };
}

/**
 * A form of sealed text, which seals and opens sessions. Each form has its prefix and its own keys.
 */
interface Form {
  /** Part of what is authenticated, so that no text of one form passes for another's. */
  readonly prefix: string;
  seal(json: string): string;
  /** `undefined` for everything that `seal` didn't write with one of the keys. Never throws. */
  open(text: string): string | undefined;
}

const DAY = 86_400_000;
/** The greatest difference between the clocks of an app's servers, in milliseconds. */
const MAX_SKEW = 60_000;
const MIN_KEY_BYTES = 32;
const NONCE_BYTES = 12;
const NONCE_CHARS = 16;
const TAG_BYTES = 16;
const MAC_BYTES = 32;
const MAC_CHARS = 43;
const BASE64URL = /^[A-Za-z0-9_-]+$/;

/** The version of the text inside; that of the form around it is in the prefix. */
const VERSION = 1;

const NONE: Loaded = Object.freeze({ status: "none" });
const GONE: CommitResult = Object.freeze({ status: "gone" });

/**
 * Keeps the session inside its own id, under any tracker: encrypted and authenticated with
 * AES-256-GCM, or signed with HMAC-SHA-256 if it is `readableByClient`. There is no server to run
 * and none to ask, and for that it gives up what {@link SealedStore} lists: where a logout must be
 * final or concurrent writers must merge, take a server-side store.
 *
 * The instants are inside and judged here by `clock`, never from what a client sends. A text that
 * was altered, cut, sealed by another key or in the other form, has expired, or comes from more
 * than a minute ahead is no session, and the reason is not reported. Nothing is compressed: the
 * length would reveal secrets that stand beside text which a client chooses (CRIME).
 *
 * `create` and `commit` throw `ERR_SESSION_TOO_LARGE` for what doesn't fit in `maxBytes`.
 *
 * @throws {TypeError | RangeError} for an option that is unknown or out of range, without its
 *   secret.
 */
export function sealedStore(options: SealedStoreOptions): SealedStore {
  const secrets = validate(options);
  const { readableByClient = false, maxAge = 400 * DAY, maxBytes = 4032 } = options;
  const { clock = Date.now } = options;
  const { context } = options;
  const form = readableByClient ? signed(secrets, context) : encrypted(secrets, context);

  const isValid = (text: string) =>
    text.length <= maxBytes && text.startsWith(form.prefix) && BASE64URL.test(text);

  const seal = (record: SessionRecord): string => {
    const text = form.seal(write(record));
    if (text.length > maxBytes) {
      throw new SessionError(
        "ERR_SESSION_TOO_LARGE",
        `sealedStore: the sealed session has ${text.length} bytes, and maxBytes is ${maxBytes}: keep less in it, or use a server-side store`,
      );
    }
    return text;
  };

  const capped = (record: SessionRecord): SessionRecord => ({
    ...record,
    idle: Math.min(record.idle, maxAge),
    absolute: Math.min(record.absolute, maxAge),
  });

  const open = (text: string, now: number): SessionRecord | undefined => {
    const json = isValid(text) ? form.open(text) : undefined;
    const written = json === undefined ? undefined : read(json);
    if (!written) return undefined;
    // Again at each opening: maxAge may be shorter now than when the text was sealed.
    const record = capped(written);
    const newest = Math.max(record.createdAt, record.startedAt, record.seenAt);
    return newest <= now + MAX_SKEW && now < expiresAt(record) ? record : undefined;
  };

  return {
    carriesData: { isValid },

    load(key) {
      const now = clock();
      const record = open(key, now);
      return record ? { status: "live", record, now } : NONE;
    },

    create(_key, { publicId, values, owners, idle, absolute }) {
      const now = clock();
      const instants = { createdAt: now, startedAt: now, seenAt: now };
      return seal(capped({ publicId, values, owners, ...instants, idle, absolute }));
    },

    commit(key, change) {
      const now = clock();
      const record = open(key, now);
      if (!record) return GONE;
      if (!holds(change, record)) return { status: "conflict", record };
      return { status: "saved", key: seal(capped(changed(record, change, now))) };
    },

    destroy(key) {
      const record = open(key, clock());
      return record && { publicId: record.publicId, owners: record.owners };
    },
  };
}

/** prefix, nonce, ciphertext, tag; the prefix is authenticated with the rest. */
function encrypted(secrets: readonly KeyObject[], context: string): Form {
  const prefix = "E2";
  const aad = Buffer.from(prefix);
  const keys = secrets.map((secret) => derive(secret, prefix, context));
  const [first] = keys as [KeyObject];

  const decrypt = (key: KeyObject, bytes: Buffer): string | undefined => {
    const nonce = bytes.subarray(0, NONCE_BYTES);
    const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(aad);
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    const text = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
    try {
      return Buffer.concat([text, decipher.final()]).toString("utf8");
    } catch {
      return undefined;
    }
  };

  return {
    prefix,
    seal(json) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv("aes-256-gcm", first, nonce, { authTagLength: TAG_BYTES });
      cipher.setAAD(aad);
      const text = [cipher.update(json, "utf8"), cipher.final()];
      return prefix + Buffer.concat([nonce, ...text, cipher.getAuthTag()]).toString("base64url");
    },
    open(text) {
      const bytes = decodeBase64url(text.slice(prefix.length));
      if (!bytes || bytes.length < NONCE_BYTES + TAG_BYTES) return undefined;
      for (const key of keys) {
        const json = decrypt(key, bytes);
        if (json !== undefined) return json;
      }
      return undefined;
    },
  };
}

/** prefix, nonce, JSON, MAC, each in base64url; the MAC is over the text before it. */
function signed(secrets: readonly KeyObject[], context: string): Form {
  const prefix = "S2";
  const keys = secrets.map((secret) => derive(secret, prefix, context));
  const [first] = keys as [KeyObject];

  const mac = (key: KeyObject, text: string) => createHmac("sha256", key).update(text).digest();

  return {
    prefix,
    seal(json) {
      // A renewed session must have another id, also when nothing else in it is new.
      const nonce = randomBytes(NONCE_BYTES).toString("base64url");
      const text = prefix + nonce + Buffer.from(json).toString("base64url");
      return text + mac(first, text).toString("base64url");
    },
    open(text) {
      const covered = text.slice(0, -MAC_CHARS);
      const given = decodeBase64url(text.slice(-MAC_CHARS));
      if (given?.length !== MAC_BYTES) return undefined;
      if (!keys.some((key) => timingSafeEqual(mac(key, covered), given))) return undefined;
      return decodeBase64url(covered.slice(prefix.length + NONCE_CHARS))?.toString("utf8");
    },
  };
}

/** RFC 5869: one secret gives each form and context a key of its own, unrelated to any other use of it. */
function derive(secret: KeyObject, prefix: string, context: string): KeyObject {
  const info = `@lanai/session sealedStore ${prefix} ${context}`;
  return createSecretKey(Buffer.from(hkdfSync("sha256", secret, "", info, 32)));
}

/** Accepts only the one spelling that encoding gives: a text has no second form that opens as well. */
function decodeBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? bytes : undefined;
}

/** An array: shorter than an object, and no name of an entry means anything in it. */
const write = (record: SessionRecord): string =>
  JSON.stringify([
    VERSION,
    record.publicId,
    record.createdAt,
    record.startedAt,
    record.seenAt,
    record.idle,
    record.absolute,
    [...record.owners],
    [...record.values].flat(),
  ]);

/** Checks the text inside, which may still be of another version, or of another program with our key. */
function read(json: string): SessionRecord | undefined {
  let parts: unknown;
  try {
    parts = parseJson(json);
  } catch {
    return undefined;
  }
  if (!Array.isArray(parts) || parts.length !== 9 || parts[0] !== VERSION) return undefined;
  const [publicId, createdAt, startedAt, seenAt, idle, absolute, owners, flat]: unknown[] =
    parts.slice(1);
  if (typeof publicId !== "string") return undefined;
  if (!areNumbers(createdAt, startedAt, seenAt, idle, absolute)) return undefined;
  if (!areStrings(owners) || !areStrings(flat) || flat.length % 2 !== 0) return undefined;

  const values = new Map<string, string>();
  for (let n = 0; n < flat.length; n += 2) values.set(flat[n] as string, flat[n + 1] as string);
  const instants = { createdAt, startedAt, seenAt } as Record<keyof Instants, number>;
  return {
    publicId,
    values,
    owners: new Set(owners),
    ...instants,
    idle: idle as number,
    absolute: absolute as number,
  };
}

type Instants = Pick<SessionRecord, "createdAt" | "startedAt" | "seenAt">;

const areNumbers = (...values: unknown[]): boolean => values.every(Number.isFinite);

const areStrings = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === "string");

const RULES: Rules<SealedStoreOptions> = {
  context: required(
    value(
      'a string of 1 to 256 characters that says what the sessions are for, such as "shop"',
      (it) => typeof it === "string" && it !== "" && it.length <= 256,
    ),
  ),
  keys: required(
    value(
      `an array of at least one secret of at least ${MIN_KEY_BYTES} bytes`,
      (it) => Array.isArray(it) && it.length > 0,
    ),
  ),
  readableByClient: flag,
  maxAge: {
    accepted: "a finite number of milliseconds above 0",
    kind: (it) => typeof it === "number",
    fits: (it: number) => Number.isFinite(it) && it > 0,
  },
  maxBytes: integer(512, 16_384),
  clock: func,
};

function validate(options: SealedStoreOptions): readonly KeyObject[] {
  checkOptions("sealedStore", options, RULES);
  return options.keys.map((key, n) => secretKey(`sealedStore: keys[${n}]`, key, MIN_KEY_BYTES));
}
