/**
 * Refuses an option that doesn't exist, so that a misspelt or foreign one never passes for set.
 *
 * @throws TypeError naming the option and those that are accepted.
 */
export function knownOptions(owner: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`${owner}: the options must be an object, got ${typeof options}`);
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    throw new TypeError(
      `${owner}: there is no option "${name}": its options are ${known.join(", ")}`,
    );
  }
}

/**
 * A number between two bounds, or the default.
 *
 * @throws TypeError or RangeError naming the option, what came and what is accepted.
 */
export function numberOption(
  owner: string,
  name: string,
  value: unknown,
  { least, most, fallback }: { least: number; most: number; fallback: number },
): number {
  if (value === undefined) return fallback;
  if (typeof value !== "number") {
    throw new TypeError(`${owner}: ${name} must be a number, got ${typeof value}`);
  }
  if (value >= least && value <= most && (Number.isInteger(value) || value === Infinity)) {
    return value;
  }
  throw new RangeError(
    `${owner}: ${name} must be an integer from ${least} to ${most}, got ${value}`,
  );
}
