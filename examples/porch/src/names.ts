/**
 * Returns a name without surrounding space; `undefined` if it holds controls, line breaks, or marks
 * that are not seen or that turn the direction of text.
 */
export function nameOf(text: string | null): string | undefined {
  const name = text?.trim() ?? "";
  return /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\uFFFD]/u.test(name) ? undefined : name;
}
