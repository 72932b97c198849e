/** An issue of a Standard Schema: the path to what it refuses. */
export interface SchemaIssueLike {
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** The most places, and keys of one, that a message names. */
const MOST = 5;
const MOST_KEYS = 16;
/** The longest key, in UTF-16 code units. */
const LONGEST = 64;

/**
 * Returns where a value is not what a schema accepts, such as `user.name, its top`, and nothing of what
 * it holds. The keys are the sender's: what isn't a plain name is quoted as in JSON, so that no line
 * break or other control character gets into a message or a log, and all of it is bounded.
 */
export function placesOf(issues: readonly SchemaIssueLike[]): string {
  const places = [...new Set(issues.map(({ path = [] }) => placeOf(path)))];
  const more = places.length > MOST ? ` and ${places.length - MOST} more` : "";
  return places.slice(0, MOST).join(", ") + more;
}

function placeOf(path: NonNullable<SchemaIssueLike["path"]>): string {
  if (path.length === 0) return "its top";
  const keys = path.slice(0, MOST_KEYS).map((it) => keyOf(typeof it === "object" ? it.key : it));
  return keys.join(".") + (path.length > MOST_KEYS ? ".…" : "");
}

function keyOf(key: PropertyKey): string {
  const text = String(key);
  const short = text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
  if (/^[\w$-]+…?$/.test(short)) return short;
  // JSON leaves the line separators of Unicode and C1 controls as they are.
  return JSON.stringify(short).replaceAll(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
