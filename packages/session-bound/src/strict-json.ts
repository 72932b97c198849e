const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The bytes of base64url without padding, or `undefined` for any other text (RFC 4648, 3.5 and 5). */
export function fromBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? bytes : undefined;
}

/**
 * Reads a JSON object that a stranger wrote: UTF-8, no member twice (RFC 7515, 4), and no deeper
 * than `maxDepth`, which is checked before the text is parsed.
 *
 * @returns `undefined` for anything else.
 */
export function parseObject(bytes: Buffer, maxDepth: number): Record<string, unknown> | undefined {
  try {
    const text = utf8.decode(bytes);
    const outline = text.replace(/"(?:[^"\\]|\\.)*"(\s*:)?/g, (_, colon) => (colon ? ":" : ""));
    if (depthOf(outline) > maxDepth) return undefined;
    // The reviver sees the value as a whole too, as the member of an object around it.
    let members = -1;
    const value: unknown = JSON.parse(text, function (this: unknown, _name, it: unknown) {
      if (!Array.isArray(this)) members++;
      return it;
    });
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    return members === outline.split(":").length - 1
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function depthOf(outline: string): number {
  let depth = 0;
  let deepest = 0;
  for (const character of outline) {
    if (character === "{" || character === "[") deepest = Math.max(deepest, ++depth);
    else if (character === "}" || character === "]") depth--;
  }
  return deepest;
}
