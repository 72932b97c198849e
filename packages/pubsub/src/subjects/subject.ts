import { PubSubError } from "../errors.ts";
import { insideReserved, isLibraryCall } from "./reserved.ts";

/** A subject is at most this long, in bytes of UTF-8. */
const MAX_SUBJECT_BYTES = 1024;

/** Control characters and white space, of ASCII or not; U+FEFF is white space to JavaScript alone. */
const UNSEEN = /[\p{Cc}\p{White_Space}\uFEFF]/u;
const LITERAL =
  /^(?!\$)[^.*>\p{Cc}\p{White_Space}\uFEFF]+(?:\.[^.*>\p{Cc}\p{White_Space}\uFEFF]+)*$/u;

/** Literal subjects that were found valid lately: most publishes are on few. */
const known = new Set<string>();

/** Whether a valid subject has wildcards: `*` for one token, a last `>` for one or more. */
export const isPattern = (subject: string): boolean =>
  subject.includes("*") || subject.endsWith(">");

/**
 * The one validation of subjects, before anything else happens: 1 to 1,024 bytes of well-formed
 * Unicode, tokens between dots, none empty, without white space and control characters; the first
 * doesn't begin with `$`. Nothing is folded or normalised.
 *
 * `*` and `>` are whole tokens, `>` the last; `publish` takes neither.
 *
 * @throws PubSubError `ERR_PUBSUB_SUBJECT`, with the `index` of what is wrong.
 */
export function validateSubject(subject: string, use: "publish" | "subscribe"): void {
  if (known.has(subject)) return;
  const fits =
    typeof subject === "string" &&
    (subject.length <= MAX_SUBJECT_BYTES / 3 || Buffer.byteLength(subject) <= MAX_SUBJECT_BYTES);
  if (fits && LITERAL.test(subject) && subject.isWellFormed()) {
    if (known.size >= 1024) known.clear();
    known.add(subject);
    return;
  }
  const wrong = fault(subject, use);
  if (!wrong) return;
  throw new PubSubError(
    "ERR_PUBSUB_SUBJECT",
    `a subject can't be like this: ${wrong.reason}, at index ${wrong.index}. ` +
      "Put what comes from users through token()",
    { index: wrong.index },
  );
}

function fault(
  subject: unknown,
  use: "publish" | "subscribe",
): { reason: string; index: number } | undefined {
  if (typeof subject !== "string") {
    return { reason: `it must be a string, got ${typeof subject}`, index: 0 };
  }
  if (Buffer.byteLength(subject) > MAX_SUBJECT_BYTES) {
    const { read: index } = new TextEncoder().encodeInto(
      subject,
      new Uint8Array(MAX_SUBJECT_BYTES),
    );
    return { reason: `it is longer than ${MAX_SUBJECT_BYTES} bytes`, index };
  }
  if (subject.startsWith("$")) return { reason: "$ is reserved at its beginning", index: 0 };
  const unseen = subject.search(UNSEEN);
  if (unseen >= 0)
    return { reason: "white space and control characters are refused", index: unseen };
  if (!subject.isWellFormed()) {
    return { reason: "half of a surrogate pair", index: subject.search(/\p{Surrogate}/u) };
  }
  let start = 0;
  for (;;) {
    const dot = subject.indexOf(".", start);
    const token = subject.slice(start, dot < 0 ? undefined : dot);
    if (token === "") return { reason: "a token is empty", index: start };
    const wildcard = token.search(/[*>]/);
    if (wildcard >= 0) {
      const index = start + wildcard;
      if (use === "publish") return { reason: "wildcards are for subscribing", index };
      if (token.length > 1) return { reason: "a wildcard is a whole token", index };
      if (token === ">" && dot >= 0) return { reason: "> is the last token", index };
    }
    if (dot < 0) return;
    start = dot + 1;
  }
}

/**
 * {@link validateSubject} for a call that may be one of a library package: its reserved subjects are
 * literal, also in a subscription.
 *
 * @throws PubSubError `ERR_PUBSUB_SUBJECT`, with the `index` of what is wrong.
 */
export function validateCall(
  subject: string,
  use: "publish" | "subscribe",
  options: object | undefined,
): void {
  const own = isLibraryCall(options) ? insideReserved(subject) : undefined;
  if (own === undefined) validateSubject(subject, use);
  // As for a publish: those of the library are literal.
  else validateSubject(own, "publish");
}

/** Whether a wildcard as the first token matches a subject: it skips the reserved ones (law C9). */
const isOpen = (subject: string): boolean => !subject.startsWith("$");

/**
 * Makes one token of a subject of whatever a user has written: letters, digits, `_` and `-` stay,
 * every other byte becomes `%` and two digits, and nothing becomes `%`. Two values never meet.
 *
 * @throws TypeError for a text that isn't well-formed Unicode.
 */
export function token(value: string | number | bigint): string {
  const text = String(value);
  if (/^[\w-]+$/.test(text)) return text;
  if (!text.isWellFormed()) throw new TypeError("token: the text must be well-formed Unicode");
  if (text === "") return "%";
  return encodeURIComponent(text).replace(
    /[.!~*'()]/g,
    (it) => `%${it.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** Whether `subject`, a literal one, is matched by `pattern`: for backends; `SubjectIndex` delivers. Both are valid. */
export function matchesSubject(pattern: string, subject: string): boolean {
  return pattern === subject || (isPattern(pattern) && covers(pattern, subject));
}

/** {@link matchesSubject} for one pattern and many subjects. */
export function subjectMatcher(pattern: string): (subject: string) => boolean {
  if (!isPattern(pattern)) return (subject) => subject === pattern;
  const source = pattern.split(".").map((token, n) => {
    if (token === "*") return n === 0 ? "(?!\\$)[^.]+" : "[^.]+";
    if (token === ">") return n === 0 ? "(?!\\$).+" : ".+";
    return token.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
  });
  const expression = new RegExp(`^${source.join("\\.")}$`);
  return (subject) => expression.test(subject);
}

/** Whether every subject that `inner` matches is matched by `outer`. Both are valid. */
export function covers(outer: string, inner: string): boolean {
  const wide = outer.split(".");
  const narrow = inner.split(".");
  for (const [i, token] of wide.entries()) {
    const { [i]: other } = narrow;
    if (other === undefined || (i === 0 && token !== other && !isOpen(other))) return false;
    if (token === ">") return true;
    if (other === ">" || (token !== "*" && token !== other)) return false;
  }
  return wide.length === narrow.length;
}

/** Whether there is a subject that both match. Both are valid. */
export function overlaps(a: string, b: string): boolean {
  const left = a.split(".");
  const right = b.split(".");
  if (a !== b && left[0] !== right[0] && !(isOpen(a) && isOpen(b))) return false;
  for (const [i, token] of left.entries()) {
    const { [i]: other } = right;
    if (other === undefined) return false;
    if (token === ">" || other === ">") return true;
    if (token !== other && token !== "*" && other !== "*") return false;
  }
  return left.length === right.length;
}
