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
  const got = typeof value === "number" ? String(value) : typeof value;
  throw new RangeError(`${owner}: ${option} must be a number from ${least} to ${most}, got ${got}`);
}
