/**
 * @throws TypeError for an option that doesn't exist.
 */
export function knownOptions(owner: string, options: object, known: readonly string[]): void {
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
 * @throws RangeError for what isn't a number from `least` to `most`.
 */
export function inRange(
  owner: string,
  option: string,
  value: unknown,
  [least, most]: readonly [number, number],
): void {
  if (value === undefined) return;
  if (typeof value === "number" && value >= least && value <= most) return;
  throw new RangeError(
    `${owner}: ${option} must be a number from ${least} to ${most}, got ${String(value)}`,
  );
}
