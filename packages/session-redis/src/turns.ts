/** The number of sessions that one command asks for. */
export const AT_ONCE = 100;

export const isTexts = (it: unknown): it is string[] =>
  Array.isArray(it) && it.every((text) => typeof text === "string");

export function partsOf<T>(items: readonly T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let n = 0; n < items.length; n += size) parts.push(items.slice(n, n + size));
  return parts;
}

/** Does the work for each item, {@link AT_ONCE} at a time. */
export async function inTurns<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = [];
  for (const part of partsOf(items, AT_ONCE)) results.push(...(await Promise.all(part.map(work))));
  return results;
}
