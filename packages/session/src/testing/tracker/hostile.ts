import assert from "node:assert/strict";
import querystring from "node:querystring";
import type { Id } from "../../id-generator.ts";
import type { PresentedToken, Tracker } from "../../tracker.ts";
import { fieldsOf, type Presented } from "./case.ts";

/** The characters that ids consist of. */
const SAFE = /^[A-Za-z0-9\-_.~]+$/;

/** Changes every header and the path of a request. */
export function mapPresented(
  { headers = {}, path }: Presented,
  change: (value: string) => string,
): Presented {
  const changed = Object.entries(headers).map(([field, value]) => [field, change(value)]);
  return {
    headers: Object.fromEntries(changed),
    ...(path !== undefined && { path: change(path) }),
  };
}

/** Puts what two requests bring into one. */
export function joined(one: Presented, two: Presented): Presented {
  const headers = { ...one.headers };
  for (const [field, value] of Object.entries(two.headers ?? {})) {
    headers[field] = `${headers[field]}${field.toLowerCase() === "cookie" ? "; " : ", "}${value}`;
  }
  const query = two.path?.slice(two.path.indexOf("?") + 1);
  return { headers, ...(one.path !== undefined && { path: `${one.path}&${query}` }) };
}

/**
 * Checks the result after nothing was thrown: none, a refusal, or something that really came. Text
 * that no generator makes may be decoded in any way: the generator refuses it next.
 */
export function checkHostile(
  { headers = {}, path = "" }: Presented,
  texts: readonly string[],
  tracked: PresentedToken | undefined,
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

export function hostileTexts(): string[] {
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

/** Returns requests with a hostile text everywhere where it could be mistaken for an id. */
export function hostileRequests(
  shown: Presented,
  tracker: Tracker,
  id: Id,
  text: string,
): Presented[] {
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
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function randomText(random: () => number): string {
  const limit = [0x80, 0x100, 0x10000][Math.trunc(random() * 3)] ?? 0x80;
  const units = Array.from({ length: random() * 60 }, () => Math.trunc(random() * limit));
  return String.fromCharCode(...units);
}

export function mutate(value: string, random: () => number, text: string): string {
  const start = Math.trunc(random() * (value.length + 1));
  const removed = random() < 0.5 ? 0 : Math.trunc(random() * 8);
  return value.slice(0, start) + text + value.slice(start + removed);
}
