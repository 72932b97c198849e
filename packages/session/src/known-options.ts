/**
 * For authors of stores and trackers: refuses an option that doesn't exist, so that a misspelt or foreign one never passes for set.
 *
 * @param owner - The factory that was called, as its user writes it.
 * @param options - What it was called with.
 * @param known - The names of its options.
 * @param hints - What to write instead, by the names that other packages use.
 * @throws TypeError naming the option and those that are accepted.
 */
export function knownOptions(
  owner: string,
  options: unknown,
  known: readonly string[],
  hints: Readonly<Record<string, string>> = {},
): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`${owner}: the options must be an object, got ${typeof options}`);
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    const hint = Object.hasOwn(hints, name) ? hints[name] : `its options are ${known.join(", ")}`;
    throw new TypeError(`${owner}: there is no option "${name}": ${hint}`);
  }
}
