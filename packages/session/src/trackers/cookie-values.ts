import { parseCookie } from "cookie";

/** RFC 6265bis, 5.6: browsers ignore a cookie whose name and value are longer together. */
export const MAX_BYTES = 4096;

/**
 * The values of all cookies of a name, in their order; `undefined` for one that is empty or too long.
 * Only the pairs of that name are cut out and parsed: most of a header belongs to others.
 */
export function readValues(
  header: string,
  name: string,
  lead: string,
): readonly (string | undefined)[] {
  const first = nextPair(header, lead, 0);
  if (first === -1) return NO_VALUES;
  const found = [readValue(header, name, first + lead.length)];
  let at = nextPair(header, lead, first + lead.length);
  while (at !== -1) {
    found.push(readValue(header, name, at + lead.length));
    at = nextPair(header, lead, at + lead.length);
  }
  return found;
}

const NO_VALUES: readonly undefined[] = [];

function readValue(header: string, name: string, start: number): string | undefined {
  const semicolon = header.indexOf(";", start);
  const end = semicolon === -1 ? header.length : semicolon;
  const text = end - start > MAX_BYTES ? "" : header.slice(start, end);
  const value = PLAIN.test(text) ? text : parseCookie(`${name}=${unquoted(text)}`)[name];
  return value || undefined;
}

/** A value may stand in double quotes, which don't belong to it (RFC 6265, 4.1.1). */
const unquoted = (text: string): string => /^[ \t]*"(.*)"[ \t]*$/.exec(text)?.[1] ?? text;

/** The values that the parser would leave as they are: most values, our ids among them. */
const PLAIN = /^[\w.-]+$/;

/** Whether a header has a pair that begins with `lead`. */
export const hasPair = (header: string, lead: string): boolean => nextPair(header, lead, 0) !== -1;

/** Returns where the next pair that begins with `lead` starts, or -1. */
function nextPair(header: string, lead: string, from: number): number {
  let at = header.indexOf(lead, from);
  while (at !== -1 && !startsPair(header, at)) at = header.indexOf(lead, at + lead.length);
  return at;
}

/** Whether a pair starts here, and not the end of a longer name or the middle of a value. */
function startsPair(header: string, at: number): boolean {
  if (at === 0) return true;
  let before = at - 1;
  while (header[before] === " " || header[before] === "\t") before--;
  return before < 0 || header[before] === ";";
}
