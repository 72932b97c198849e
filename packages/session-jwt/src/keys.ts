import { createPrivateKey, createPublicKey, createSecretKey, KeyObject } from "node:crypto";
import { within } from "@lanai/connection/deadline";
import {
  anything,
  checkOptions,
  checkValue,
  kindOf,
  oneOf,
  type Rules,
  required,
  text,
  value,
} from "@lanai/connection/options";
import type { Awaitable, SecretKey } from "@lanai/session";
import { JwtError } from "./errors.ts";
import { events } from "./events.ts";

/** The algorithms of RFC 7518, 3.1 that sign and that jsonwebtoken has. */
export type JwtAlgorithm =
  | "HS256"
  | "HS384"
  | "HS512"
  | "RS256"
  | "RS384"
  | "RS512"
  | "PS256"
  | "PS384"
  | "PS512"
  | "ES256"
  | "ES384"
  | "ES512";

/** The kind of key that an algorithm needs. */
interface Kind {
  /** RFC 7518, 3.2: an HMAC key is at least as long as the hash. */
  readonly bytes?: number;
  readonly type?: "rsa" | "ec";
  readonly curve?: string;
}

const KINDS: Readonly<Record<JwtAlgorithm, Kind>> = {
  HS256: { bytes: 32 },
  HS384: { bytes: 48 },
  HS512: { bytes: 64 },
  RS256: { type: "rsa" },
  RS384: { type: "rsa" },
  RS512: { type: "rsa" },
  PS256: { type: "rsa" },
  PS384: { type: "rsa" },
  PS512: { type: "rsa" },
  ES256: { type: "ec", curve: "prime256v1" },
  ES384: { type: "ec", curve: "secp384r1" },
  ES512: { type: "ec", curve: "secp521r1" },
};

/** A key that signs or verifies tokens, with its place in a rotation. */
export interface JwtKey {
  /** Its name in the header of tokens: 1 to 64 letters, digits, `.`, `_` and `-`; one of a kind. */
  readonly kid: string;
  /** The one algorithm that it is for (RFC 8725, 3.1). */
  readonly alg: JwtAlgorithm;
  /**
   * For `HS…`: a secret of at least 32, 48 or 64 bytes. For the others: a private key (PEM or
   * Node's own object), or a public one, which only verifies. RSA keys have at least 2,048 bits.
   */
  readonly key: SecretKey;
  /**
   * - `pending`: verifies only. A new key is that until all processes know it.
   * - `active`: signs and verifies. Exactly one is, and it can sign.
   * - `retiring`: verifies only, until the last token that it signed is worthless.
   *
   * Default: `active`.
   */
  readonly state?: "pending" | "active" | "retiring";
}

/** A key as it is used. */
interface PreparedKey {
  readonly kid: string;
  readonly alg: JwtAlgorithm;
  readonly verifies: KeyObject;
  /** Absent: it is a public key. */
  readonly signs: KeyObject | undefined;
}

export interface KeySet {
  readonly active: PreparedKey & { readonly signs: KeyObject };
  /** A Map: `kid` is whatever a client wrote, `constructor` too. */
  readonly byKid: ReadonlyMap<unknown, PreparedKey>;
}

/**
 * The keys, or a function that is called at each use and returns another array when they change. For a
 * token that came, it receives the `kid` that the token names, 1 to 64 letters, digits, `_`, `-` and
 * `.`: a client wrote it, and no signature has been verified yet. For a token that is to be signed, or
 * that names no such `kid`, it receives `undefined`.
 */
export type JwtKeys = readonly JwtKey[] | ((kid?: string) => Awaitable<readonly JwtKey[]>);

/** The syntax of a `kid`. */
const KID = /^[\w.-]{1,64}$/;

export const isKid = (kid: unknown): kid is string => typeof kid === "string" && KID.test(kid);

/** The timeout of the app's function, in milliseconds. */
const TIMEOUT = 2_000;
/**
 * The time for which its last result is used while it fails, in milliseconds: a leaked key must not
 * be accepted for longer.
 */
const STALE = 60_000;
/** Secrets from documentation that are long enough to be accepted. */
const SAMPLES = new Set(["a-string-secret-at-least-256-bits-long"]);

/**
 * Makes the source of the keys, once. A fixed set is checked now; the sets of a function are
 * checked as they come, each array once.
 *
 * When the function fails, its last result is used for a minute. After that the source rejects with
 * `ERR_JWT_KEYS_UNAVAILABLE`: an outage of the keys signs nobody out.
 */
export function keySource(
  owner: string,
  keys: JwtKeys,
  clock: () => number,
): (kid?: string) => Awaitable<KeySet> {
  if (typeof keys !== "function") {
    const fixed = keySet(owner, keys);
    return () => fixed;
  }
  let known: { readonly keys: readonly JwtKey[]; readonly set: KeySet } | undefined;
  let knownAt = 0;
  return async (kid) => {
    let current: readonly JwtKey[];
    try {
      const answer = keys(kid);
      current = await within(TIMEOUT, answer, () => {
        throw new Error(`keys() did not answer within ${TIMEOUT} ms`);
      });
    } catch (cause) {
      const error = unavailable(owner, cause);
      if (known === undefined || clock() - knownAt >= STALE) throw error;
      events.emit("stale", { level: "error", error });
      return known.set;
    }
    knownAt = clock();
    if (known?.keys === current) return known.set;
    // Also if the new result is invalid: a key that the app has removed must not come back.
    known = undefined;
    try {
      known = { keys: current, set: keySet(owner, current) };
      return known.set;
    } catch (cause) {
      throw unavailable(owner, cause);
    }
  };
}

const unavailable = (owner: string, cause: unknown): JwtError =>
  new JwtError("ERR_JWT_KEYS_UNAVAILABLE", `${owner}: there are no keys: see the cause`, {
    cause,
    status: 503,
    headers: { "Retry-After": "1" },
  });

const KEYS = required(value("an array of keys or a function", Array.isArray));
const KEY = required(value("{ kid, alg, key, state }", (it) => kindOf(it) === "object"));

const RULES: Rules<JwtKey> = {
  // Never shown: whoever mixes up two options writes the secret here.
  kid: required(value('1 to 64 letters, digits, ".", "_" and "-"', isKid)),
  alg: required(
    text(`one of ${Object.keys(KINDS).join(", ")}`, (alg) => Object.hasOwn(KINDS, alg)),
  ),
  key: anything,
  state: oneOf("pending", "active", "retiring"),
};

function keySet(owner: string, keys: readonly JwtKey[]): KeySet {
  checkValue(owner, "keys", keys, KEYS);
  const byKid = new Map<string, PreparedKey>();
  const active = keys
    .map((key: JwtKey, at) => {
      checkValue(owner, `keys[${at}]`, key, KEY);
      const prepared = prepare(`${owner}: keys[${at}]`, key);
      if (byKid.has(prepared.kid)) {
        throw new TypeError(`${owner}: keys[${at}] has the kid of another, ${prepared.kid}`);
      }
      byKid.set(prepared.kid, prepared);
      return prepared;
    })
    .filter((_, at) => (keys[at]?.state ?? "active") === "active");
  const [signer] = active;
  if (signer?.signs === undefined || active.length > 1) {
    throw new TypeError(
      `${owner}: exactly one of the keys must be active and able to sign, got ${active.length} active` +
        (active.length === 1 ? ", a public key" : ""),
    );
  }
  return { active: { ...signer, signs: signer.signs }, byKid };
}

function prepare(owner: string, key: JwtKey): PreparedKey {
  checkOptions(owner, key, RULES);
  const { kid, alg } = key;
  return { kid, alg, ...(KINDS[alg].bytes ? secret(owner, key) : keyPair(owner, key)) };
}

function secret(option: string, { alg, key }: JwtKey): Pick<PreparedKey, "verifies" | "signs"> {
  const { bytes = 0 } = KINDS[alg];
  const object = secretObject(key);
  if (object?.type !== "secret") {
    throw new TypeError(
      `${option}: the key of ${alg} must be a string, a Uint8Array or a secret KeyObject, got ${kindOf(key)}`,
    );
  }
  const text = object.export().toString("latin1");
  if (SAMPLES.has(text) || text.startsWith("-----BEGIN")) {
    throw new TypeError(
      `${option}: key is ${SAMPLES.has(text) ? "a published sample" : "a key in PEM"}, and ${alg} takes a secret`,
    );
  }
  const size = object.symmetricKeySize ?? 0;
  if (size < bytes) {
    throw new RangeError(
      `${option}: the secret of ${alg} must have at least ${bytes} bytes, got ${size}`,
    );
  }
  return { verifies: object, signs: object };
}

function secretObject(key: unknown): KeyObject | undefined {
  if (key instanceof KeyObject) return key;
  if (typeof key === "string") return createSecretKey(key, "utf8");
  if (key instanceof Uint8Array) return createSecretKey(key);
  return undefined;
}

function keyPair(option: string, { alg, key }: JwtKey): Pick<PreparedKey, "verifies" | "signs"> {
  const object = key instanceof KeyObject ? key : fromPem(key);
  if (object === undefined || object.type === "secret") {
    throw new TypeError(
      `${option}: the key of ${alg} must be a private or a public key, in PEM or as a KeyObject`,
    );
  }
  const { type, curve } = KINDS[alg];
  const { modulusLength = 0, namedCurve } = object.asymmetricKeyDetails ?? {};
  if (object.asymmetricKeyType !== type || namedCurve !== curve) {
    throw new TypeError(
      `${option}: ${alg} takes a key of type ${type}${curve ? ` on ${curve}` : ""}, got ${namedCurve ?? object.asymmetricKeyType}`,
    );
  }
  if (type === "rsa" && modulusLength < 2048) {
    throw new RangeError(
      `${option}: the key of ${alg} must have at least 2048 bits, got ${modulusLength}`,
    );
  }
  const isPrivate = object.type === "private";
  return {
    verifies: isPrivate ? createPublicKey(object as unknown as string) : object,
    signs: isPrivate ? object : undefined,
  };
}

function fromPem(key: unknown): KeyObject | undefined {
  const pem = key instanceof Uint8Array ? Buffer.from(key) : key;
  if (typeof pem !== "string" && !Buffer.isBuffer(pem)) return undefined;
  for (const read of [createPrivateKey, createPublicKey]) {
    try {
      return read(pem);
    } catch {}
  }
  return undefined;
}
