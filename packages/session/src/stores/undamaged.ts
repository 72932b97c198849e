import { codeOf } from "../request/failures.ts";

/**
 * For authors of stores: reads each one of a list. A damaged one, for which `read` throws
 * `ERR_SESSION_DECODE`, is left out, so that it hides no other.
 */
export function undamaged<Stored, Read>(
  all: readonly Stored[],
  read: (one: Stored) => Read,
): Read[] {
  return all.flatMap((one) => {
    try {
      return [read(one)];
    } catch (error) {
      if (codeOf(error) === "ERR_SESSION_DECODE") return [];
      throw error;
    }
  });
}
