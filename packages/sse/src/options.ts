/**
 * What happens when more waits to be sent to a client than `maxBuffered`.
 *
 * - `close`: the stream is cut; its client comes back with the id of the last event that it got.
 * - `drop-oldest`: the events that have waited longest are left out.
 */
export type OverflowPolicy = "close" | "drop-oldest";

/** What one `ctx.sse()` may say; the default is what `sse()` said. */
export interface EventStreamOptions {
  /**
   * How often a comment keeps proxies from ending a silent stream, in milliseconds, from 1.
   * `Infinity`: never. Default: 15,000.
   */
  readonly heartbeat?: number;
  /**
   * After how many milliseconds a client that lost the connection tries again, told at the beginning.
   * Default: not told; browsers take some seconds.
   */
  readonly retry?: number;
  /** How many bytes may wait to be sent to one client, from 1. Default: 1 MiB. */
  readonly maxBuffered?: number;
  /** What happens when more waits. Default: `"close"`. */
  readonly overflow?: OverflowPolicy;
}

export interface SseOptions extends EventStreamOptions {
  /**
   * The query parameter that stands for `Last-Event-ID` where that header is missing: a page that
   * makes a new `EventSource` can't send it. `false`: none. Default: `lastEventId`.
   */
  readonly lastEventIdQuery?: string | false;
  /**
   * How long the end of a stream waits for a client that doesn't take what was sent, in milliseconds,
   * from 1, until the connection is cut. Default: 1,000.
   */
  readonly closeTimeout?: number;
}

const STREAM: readonly string[] = [
  "heartbeat",
  "retry",
  "maxBuffered",
  "overflow",
] satisfies readonly (keyof EventStreamOptions)[];

const ALL: readonly string[] = [...STREAM, "lastEventIdQuery", "closeTimeout"] satisfies readonly (
  | keyof SseOptions
  | string
)[];

const MOST = 2 ** 31 - 1;

export function validate(options: SseOptions): void {
  const owner = "sse";
  checkStream(owner, options, ALL);
  whole(owner, "closeTimeout", "milliseconds", options.closeTimeout, 1);
  const { lastEventIdQuery: query } = options;
  if (query === undefined || query === false || (typeof query === "string" && query !== "")) return;
  throw new TypeError(`${owner}: lastEventIdQuery must be a name or false, got ${typeof query}`);
}

export const validateStream = (options: EventStreamOptions): void =>
  checkStream("ctx.sse", options, STREAM);

function checkStream(owner: string, options: EventStreamOptions, names: readonly string[]): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`${owner}: the options must be an object, got ${typeof options}`);
  }
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue;
    const all = names.join(", ");
    throw new TypeError(`${owner}: there is no option "${name}": its options are ${all}`);
  }
  const { heartbeat, overflow } = options;
  if (heartbeat !== Infinity) whole(owner, "heartbeat", "milliseconds", heartbeat, 1);
  whole(owner, "retry", "milliseconds", options.retry, 0);
  whole(owner, "maxBuffered", "bytes", options.maxBuffered, 1);
  if (overflow === undefined || overflow === "close" || overflow === "drop-oldest") return;
  throw new TypeError(
    `${owner}: overflow must be "close" or "drop-oldest", got "${String(overflow)}"`,
  );
}

function whole(
  owner: string,
  name: string,
  unit: string,
  value: number | undefined,
  least: number,
): void {
  if (value === undefined || (Number.isInteger(value) && value >= least && value <= MOST)) return;
  throw new RangeError(
    `${owner}: ${name} must be a whole number of ${unit} from ${least} to ${MOST}, got ${String(value)}`,
  );
}
