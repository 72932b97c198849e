import {
  anything,
  checkOptions,
  checkValue,
  integer,
  or,
  type Rules,
  required,
  value,
} from "@lanai/connection/options";
import { PubSubError } from "../errors.ts";
import type { HistoryRange, StreamConfig } from "../streams.ts";
import { isLibraryCall } from "../subjects/reserved.ts";
import { covers, overlaps, validateCall } from "../subjects/subject.ts";

const NAME = /^[\w-]{1,64}$/;
/** Names of the library's own streams: no app can make or change a stream with such a name. */
const LIBRARY_NAME = /^\$lanai-[\w-]{1,64}$/;

const OPTIONS: Rules<StreamConfig> = {
  // These are checked by themselves: a refusal says where they are wrong.
  name: anything,
  subjects: anything,
  maxMsgs: integer(1, 10_000_000),
  maxAge: or(integer(100), Infinity),
};

/** The checked settings of a stream, with the defaults filled in. */
export type StreamSettings = Required<StreamConfig>;

/**
 * Checks what was given to `ensureStream`, before anything else happens, and fills in the defaults.
 *
 * @throws PubSubError for a name or subject, TypeError or RangeError for the rest.
 */
export function streamSettings(config: StreamConfig): StreamSettings {
  checkOptions("ensureStream", config, OPTIONS);
  const { name, subjects } = config;
  const pattern = isLibraryCall(config) ? LIBRARY_NAME : NAME;
  if (typeof name !== "string" || !pattern.test(name)) {
    throw new PubSubError(
      "ERR_PUBSUB_SUBJECT",
      "ensureStream: name must be 1 to 64 letters, digits, _ or -",
      { index: typeof name === "string" ? Math.max(0, name.search(/[^\w-]/)) : 0 },
    );
  }
  if (!Array.isArray(subjects) || subjects.length === 0) {
    throw new TypeError("ensureStream: subjects must be a list of at least one subject");
  }
  for (const subject of subjects) validateCall(subject, "subscribe", config);
  for (const [i, subject] of subjects.entries()) {
    const other = subjects.slice(0, i).find((it) => overlaps(it, subject));
    if (other === undefined) continue;
    throw new PubSubError(
      "ERR_PUBSUB_STREAM",
      `ensureStream: the subjects ${other} and ${subject} of ${name} overlap: keep one`,
    );
  }
  const { maxMsgs = 1000, maxAge = Infinity } = config;
  return { name, subjects: [...subjects], maxMsgs, maxAge };
}

const RANGE: Rules<HistoryRange> = { since: value("a string", (it) => typeof it === "string") };
const LIMIT = required(or(integer(0), Infinity));

/**
 * Checks what was given to `history`, before anything else happens.
 *
 * @throws PubSubError for the subject, TypeError or RangeError for the limit.
 */
export function validateHistory(subject: string, limit: number, range: HistoryRange = {}): void {
  validateCall(subject, "subscribe", range);
  checkOptions("history", range, RANGE);
  checkValue("history", "limit", limit, LIMIT);
}

/** Returns the one of `streams` that retains all that `subject`, or a pattern, matches. */
export function streamOf<S extends { readonly subjects: readonly string[] }>(
  streams: Iterable<S>,
  subject: string,
): S | undefined {
  for (const stream of streams) {
    if (stream.subjects.some((it) => covers(it, subject))) return stream;
  }
  return undefined;
}
