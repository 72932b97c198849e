export interface Said {
  readonly by: string;
  readonly n: number;
}

/**
 * Returns how one tab has broken B1, in words: a message twice, or out of its speaker's order, or one that is
 * missing without a gap. What was said without an acknowledgement may be shown once, anywhere.
 */
export function violationsOf(
  shown: readonly (Said | "gap")[],
  said: ReadonlyMap<string, readonly number[]>,
): string[] {
  const found: string[] = [];
  const seen = new Set<string>();
  /** The last acknowledged message of each speaker, and whether there was a gap since. */
  const last = new Map<string, { n: number; hasGap: boolean }>();
  for (const it of shown) {
    if (it === "gap") {
      for (const one of last.values()) one.hasGap = true;
      continue;
    }
    const { by, n } = it;
    if (seen.has(`${by} ${n}`)) found.push(`B1: message ${n} of ${by} was shown twice`);
    seen.add(`${by} ${n}`);
    const known = said.get(by) ?? [];
    if (!known.includes(n)) continue;
    const before = last.get(by);
    if (before && n < before.n) found.push(`B1: message ${n} of ${by} came after ${before.n}`);
    if (before && !before.hasGap) {
      const missing = known.filter((it) => it > before.n && it < n && !seen.has(`${by} ${it}`));
      if (missing.length > 0)
        found.push(`B1: messages ${missing} of ${by} are missing without a gap`);
    }
    last.set(by, { n, hasGap: false });
  }
  return found;
}
