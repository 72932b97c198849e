/** Returns a pattern of Lua that matches at least what a subject's pattern does; all, if it is too long. */
export function luaPattern(pattern: string): string {
  const tokens = pattern.split(".");
  // Each wildcard takes a level of Lua's stack.
  if (tokens.filter((token) => token === "*").length > 20) return "";
  const parts = tokens.map((token) => {
    if (token === "*") return "[^.]+";
    return token === ">" ? ".+" : token.replace(/[^\w\u0080-\uffff]/g, "%$&");
  });
  return `^${parts.join("%.")}$`;
}
