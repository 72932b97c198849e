import { types } from "node:util";
import { parseJson } from "@lanai/connection/json";
import { SessionError } from "../errors.ts";

/**
 * The text of a value: JSON, with five kinds that JSON lacks written as an object of one key that
 * begins with `~`. An object of the app that looks like one is wrapped as `~object`, and so are the
 * entries, as pairs, of one with a key that JSON escapes: V8 13.6 (Node 24) reads such a key as another
 * one, that ends with a backslash, if it has read that at the same place before.
 */
const DATE = "~date";
const BYTES = "~bytes";
const BIGINT = "~bigint";
const MAP = "~map";
const SET = "~set";
const OBJECT = "~object";

/** The characters that JSON escapes, except halves of surrogate pairs. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const ESCAPED = /["\\\u0000-\u001f]/;
const isEscaped = (key: string): boolean => ESCAPED.test(key) || !key.isWellFormed();

const MAX_DEPTH = 256;
/** The most digits of a bigint: reading and writing one takes time that grows with their square. */
const MAX_DIGITS = 10_000;
/** The last instant that a `Date` can be, in milliseconds (ECMA-262, 21.4.1.1). */
const MAX_TIME = 8.64e15;

const MAX_BIGINT = 10n ** BigInt(MAX_DIGITS);
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
const INTEGER = /^-?\d+$/;

/** An entry's key as the app or a package knows it, for errors: its name is `<whose>:<key>`. */
const keyIn = (name: string): string => name.slice(name.indexOf(":") + 1);

/**
 * Encodes what a session may hold: everything that JSON has, `Date`, `Uint8Array`, `bigint`, `Map`
 * and `Set`. An object's `undefined` properties are left out, as in JSON.
 *
 * @throws {TypeError} that names the path of what can't be stored, and never its value.
 */
export function encode(value: unknown, name: string): string {
  if (typeof value === "string" || typeof value === "boolean") return JSON.stringify(value);
  if (Number.isFinite(value)) return String(value);
  return JSON.stringify(tag(value, [keyIn(name)], []));
}

/**
 * Decodes a stored text, which may be anybody's: its length and its depth are checked before it is
 * parsed, and the form of each tag before anything is made of it.
 *
 * @throws {SessionError} `ERR_SESSION_DECODE`, without the text or a cause that quotes it.
 */
export function decode(text: string, name: string): unknown {
  try {
    assert(typeof text === "string");
    const value = parseJson(text, MAX_NESTING);
    return text.includes('"~') ? untag(value) : value;
  } catch {
    throw new SessionError(
      "ERR_SESSION_DECODE",
      `the stored text of ${JSON.stringify(keyIn(name))} was not written by @lanai/session: delete the entry, or end the session`,
    );
  }
}

/** The greatest depth of an encoded value, twice that of the value: each level may have a tag. */
const MAX_NESTING = 2 * MAX_DEPTH + 2;

/** Stands in for `node:assert`, which reads the source file for the message of a failure. */
function assert(holds: unknown): asserts holds {
  if (!holds) throw new TypeError("not as it was encoded");
}

type Trail = (string | number)[];

/** The value itself where it is plain JSON, else a copy with tags. */
function tag(value: unknown, trail: Trail, ancestors: object[]): unknown {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      if (!Number.isFinite(value)) throw unstorable(trail, `the number ${value}`);
      return value;
    case "bigint":
      if (value > MAX_BIGINT || value < -MAX_BIGINT) {
        throw unstorable(trail, `a bigint of more than ${MAX_DIGITS} digits`);
      }
      return { [BIGINT]: value.toString() };
    case "object":
      return value === null ? null : tagObject(value, trail, ancestors);
    default:
      throw unstorable(trail, value === undefined ? "undefined" : `a ${typeof value}`);
  }
}

function tagObject(value: object, trail: Trail, ancestors: object[]): unknown {
  if (types.isDate(value)) {
    const time = value.getTime();
    if (Number.isNaN(time)) throw unstorable(trail, "an invalid Date");
    return { [DATE]: time };
  }
  if (types.isUint8Array(value)) return { [BYTES]: Buffer.from(value).toString("base64") };

  if (ancestors.includes(value)) throw unstorable(trail, "a cycle");
  if (ancestors.length === MAX_DEPTH)
    throw unstorable(trail, `nested over ${MAX_DEPTH} levels deep`);
  ancestors.push(value);
  const tagged = tagContainer(value, trail, ancestors);
  ancestors.pop();
  return tagged;
}

function tagContainer(value: object, trail: Trail, ancestors: object[]): unknown {
  const each = (items: readonly unknown[]): readonly unknown[] => {
    let copy: unknown[] | undefined;
    for (let i = 0; i < items.length; i++) {
      trail.push(i);
      const item = tag(items[i], trail, ancestors);
      trail.pop();
      if (item !== items[i]) {
        copy ??= [...items];
        copy[i] = item;
      }
    }
    return copy ?? items;
  };
  if (Array.isArray(value)) return each(value);
  if (types.isMap(value)) return { [MAP]: each([...value]) };
  if (types.isSet(value)) return { [SET]: each([...value]) };

  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    throw unstorable(trail, `an instance of ${value.constructor.name || "a class"}`);
  }
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  let changed = false;
  for (const entry of entries) {
    trail.push(entry[0]);
    const item = tag(entry[1], trail, ancestors);
    trail.pop();
    if (item !== entry[1]) {
      entry[1] = item;
      changed = true;
    }
  }
  if (entries.some(([key]) => isEscaped(key))) return { [OBJECT]: entries };
  const plain = changed ? Object.fromEntries(entries) : value;
  return entries.length === 1 && entries[0]?.[0].startsWith("~") ? { [OBJECT]: plain } : plain;
}

function untag(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(untag);
  const entries = Object.entries(value);
  const [first] = entries;
  if (entries.length === 1 && first?.[0].startsWith("~")) return untagOne(first[0], first[1]);
  return untagPlain(entries);
}

const untagPlain = (entries: [string, unknown][]): unknown =>
  Object.fromEntries(entries.map(([key, item]) => [key, untag(item)]));

function untagOne(kind: string, body: unknown): unknown {
  switch (kind) {
    case DATE:
      assert(typeof body === "number" && Math.abs(body) <= MAX_TIME);
      return new Date(body);
    case BYTES:
      assert(typeof body === "string" && body.length % 4 === 0 && BASE64.test(body));
      return new Uint8Array(Buffer.from(body, "base64"));
    case BIGINT:
      assert(typeof body === "string" && body.length <= MAX_DIGITS + 1 && INTEGER.test(body));
      return BigInt(body);
    case MAP:
      assert(Array.isArray(body) && body.every((it) => Array.isArray(it) && it.length === 2));
      return new Map(body.map(([key, item]) => [untag(key), untag(item)]));
    case SET:
      assert(Array.isArray(body));
      return new Set(body.map(untag));
    case OBJECT:
      assert(typeof body === "object" && body !== null);
      if (!Array.isArray(body)) return untagPlain(Object.entries(body));
      assert(
        body.every(
          (entry) => Array.isArray(entry) && entry.length === 2 && typeof entry[0] === "string",
        ),
      );
      return untagPlain(body);
    default:
      throw new TypeError("unknown tag");
  }
}

function unstorable(trail: Trail, what: string): TypeError {
  const path = trail
    .map((step, i) => {
      if (typeof step === "number") return `[${step}]`;
      if (i === 0) return step;
      return /^[A-Za-z_$][\w$]*$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
    })
    .join("");
  return new TypeError(
    `a session can't store ${path}: it is ${what}. It stores JSON values, Date, Uint8Array, bigint, Map and Set`,
  );
}

/**
 * A key is well-formed Unicode of 1 to 256 bytes in UTF-8, without U+0000, which not every backend
 * can hold.
 */
export function checkKey(key: string): void {
  if (
    typeof key !== "string" ||
    key === "" ||
    // Up to 85 UTF-16 units are at most 255 bytes: the common case needs no count.
    (key.length > 85 && Buffer.byteLength(key) > 256) ||
    !key.isWellFormed() ||
    key.includes("\0")
  ) {
    throw new TypeError(
      "a session key must be a string of 1 to 256 bytes of well-formed Unicode without U+0000",
    );
  }
}
