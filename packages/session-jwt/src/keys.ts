import { createPrivateKey, createPublicKey, createSecretKey, KeyObject } from "node:crypto";
import { channel } from "node:diagnostics_channel";
import { inspect } from "node:util";
import type { Awaitable, SecretKey } from "@lanai/session";
import { JwtError } from "./errors.ts";

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

/** What kind of key an algorithm takes. */
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

export interface JwtKey {
  /** Its name in the header of tokens: 1 to 64 letters, digits, `.`, `_` and `-`; one of a kind. */
  readonly kid: string;
  /** The one algorithm that it is for (RFC 8725, 3.1). */
  readonly alg: JwtAlgorithm;
  /**
   * Of `HS…`: a secret of at least 32, 48 or 64 bytes. Of the others: a private key (PEM or Node's
   * own object), or a public one, which only verifies. RSA has at least 2,048 bits.
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

/** The keys, or a function that is asked at each use and answers another array when they change. */
export type JwtKeys = readonly JwtKey[] | (() => Awaitable<readonly JwtKey[]>);

/** What `lanai:session-jwt:stale` on `node:diagnostics_channel` tells: the last keys went on. */
export interface JwtKeysStale {
  readonly level: "error";
  /** With what the app's function threw as its cause. */
  readonly error: JwtError;
}

const stale = channel("lanai:session-jwt:stale");

/** How long the app's function may take. */
const TIMEOUT = 2_000;
/** For how long its last answer goes on when it fails: a key that leaked must not for longer. */
const STALE = 60_000;
/** Of documentation, and long enough to pass. */
const SAMPLES = new Set(["a-string-secret-at-least-256-bits-long"]);

/**
 * Makes the source of the keys, once. A fixed set is checked now; the sets of a function are checked
 * as they come, each array once.
 *
 * When the function fails its last answer goes on for a minute. After that the source rejects with
 * `ERR_JWT_KEYS_UNAVAILABLE`: an outage of the keys signs nobody out.
 */
export function keySource(
  owner: string,
  keys: JwtKeys,
  clock: () => number,
): () => Awaitable<KeySet> {
  if (typeof keys !== "function") {
    const fixed = keySet(owner, keys);
    return () => fixed;
  }
  let known: { readonly keys: readonly JwtKey[]; readonly set: KeySet } | undefined;
  let knownAt = 0;
  return async () => {
    let current: readonly JwtKey[];
    try {
      const answer = keys();
      current = Array.isArray(answer) ? answer : await inTime(answer);
    } catch (cause) {
      const error = unavailable(owner, cause);
      if (known === undefined || clock() - knownAt >= STALE) throw error;
      const event: JwtKeysStale = { level: "error", error };
      stale.publish(event);
      return known.set;
    }
    knownAt = clock();
    if (known?.keys === current) return known.set;
    // Also if the answer can't be: who took a key away must not see it come back.
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

async function inTime<T>(answer: Awaitable<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`keys() did not answer within ${TIMEOUT} ms`)),
    TIMEOUT,
  );
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function keySet(owner: string, keys: readonly JwtKey[]): KeySet {
  if (!Array.isArray(keys)) {
    throw new TypeError(
      `${owner}: keys must be an array of keys or a function, got ${kindOf(keys)}`,
    );
  }
  const byKid = new Map<string, PreparedKey>();
  const active = keys
    .map((key: JwtKey, at) => {
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

function prepare(option: string, key: JwtKey): PreparedKey {
  if (typeof key !== "object" || key === null) {
    throw new TypeError(`${option} must be { kid, alg, key, state }, got ${kindOf(key)}`);
  }
  const { kid, alg, state = "active" } = key;
  for (const name of Object.keys(key)) {
    if (["kid", "alg", "key", "state"].includes(name)) continue;
    throw new TypeError(`${option}: there is no option "${name}": a key has kid, alg, key, state`);
  }
  if (typeof kid !== "string" || !/^[\w.-]{1,64}$/.test(kid)) {
    throw new TypeError(
      `${option}: kid must be 1 to 64 letters, digits, ".", "_" and "-", got ${kindOf(kid)}`,
    );
  }
  if (!Object.hasOwn(KINDS, alg)) {
    const accepted = Object.keys(KINDS).join(", ");
    throw new TypeError(`${option}: alg must be one of ${accepted}, got ${inspect(alg)}`);
  }
  if (!["pending", "active", "retiring"].includes(state)) {
    throw new TypeError(
      `${option}: state must be "pending", "active" or "retiring", got ${inspect(state)}`,
    );
  }
  return { kid, alg, ...(KINDS[alg].bytes ? secret(option, key) : keyPair(option, key)) };
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

const kindOf = (value: unknown): string => (value === null ? "null" : typeof value);
