/** The longest text that is parsed, in UTF-16 code units. */
export const MAX_JSON_LENGTH: number = 2 ** 26;
/** The greatest depth of JSON from elsewhere: recursive code of an app copes with it. */
export const MAX_JSON_DEPTH = 256;

/**
 * Parses JSON from a client, a bus or a store. Its length and its depth are checked before anything is
 * parsed: `JSON.parse` itself takes any depth, and whoever then walks the value overflows the stack.
 *
 * @throws SyntaxError for what is no JSON, too long or nested too deep. The message quotes nothing.
 */
export function parseJson(text: string, maxDepth: number = MAX_JSON_DEPTH): unknown {
  if (text.length > MAX_JSON_LENGTH || isTooDeep(text, maxDepth)) {
    throw new SyntaxError("JSON that is too long, or nested too deep");
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new SyntaxError("no JSON");
  }
}

function isTooDeep(text: string, max: number): boolean {
  // A shorter text can't be: it closes what it opens, or is no JSON.
  if (text.length <= 2 * max) return false;
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (inString) {
      if (char === 0x5c) at += 1;
      else if (char === 0x22) inString = false;
    } else if (char === 0x22) inString = true;
    else if (char === 0x5b || char === 0x7b) {
      depth += 1;
      if (depth > max) return true;
    } else if (char === 0x5d || char === 0x7d) depth -= 1;
  }
  return false;
}
