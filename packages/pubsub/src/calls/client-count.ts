import { checkValue, integer } from "@lanai/connection/options";

/**
 * Returns a count that comes from a client, such as `ctx.query.replay`, as an integer from 0 to `most`:
 * for `replay` and for the limit of `history`, which read as much as they are asked for. A larger number
 * is `most`; what is no number, negative or missing is 0.
 *
 * @throws TypeError or RangeError if `most` is no integer from 0.
 */
export function clientCount(given: unknown, most: number): number {
  checkValue("clientCount", "most", most, integer(0));
  const isText = typeof given === "string" && /^\d{1,15}$/.test(given);
  const count = isText ? Number(given) : given;
  if (typeof count !== "number" || !(count >= 0)) return 0;
  return Math.min(Math.floor(count), most);
}
