const ORIGIN = "http://site.invalid";

/**
 * Returns `text` if it is a path of this site, and `"/"` otherwise: for where to go after a sign-in, as a
 * form or a query parameter says, which anybody can write.
 *
 * A path of this site has 1 to 2,048 characters of printable ASCII without a backslash, and begins with
 * one slash, not two: browsers take `//host` and `/\host` for another site (WHATWG URL, 4.4).
 */
export function returnPath(text: unknown): string {
  const isPath =
    typeof text === "string" &&
    text.length <= 2048 &&
    /^\/(?!\/)[!-[\]-~]*$/.test(text) &&
    URL.canParse(text, ORIGIN);
  if (!isPath) return "/";
  const { origin, pathname, search, hash } = new URL(text, ORIGIN);
  // "/.//host" has the path "//host" once its dots are resolved.
  return origin === ORIGIN && !pathname.startsWith("//") ? pathname + search + hash : "/";
}
