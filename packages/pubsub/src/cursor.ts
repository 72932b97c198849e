/**
 * Compares two cursors: negative if `a` is before `b` in their stream, 0 if they are the same place,
 * positive if it is after. `undefined` if they have no order: one isn't a cursor, or they are of
 * different streams or of one that was lost and made again.
 */
export function compareCursors(a: string, b: string): number | undefined {
  const one = CURSOR.exec(a);
  const other = CURSOR.exec(b);
  if (one === null || other === null || one[1] !== other[1]) return undefined;
  return Number(one[2]) - Number(other[2]);
}

/** The epoch, for some backends an instant, and the position. */
const CURSOR = /^([\w-]{1,64})[.:](?:\d{1,15}-)?(\d{1,15})$/;
