import { PubSubError } from "./errors.ts";
import { knownOptions, numberOption } from "./known-options.ts";
import type { StreamConfig } from "./streams.ts";
import { covers, overlaps, validateSubject } from "./subject.ts";

/** A stream's config, checked, with its defaults. */
export type StreamSettings = Required<StreamConfig>;

/**
 * Checks what was given to `ensureStream`, before anything else happens, and fills in the defaults.
 *
 * @throws PubSubError for a name or subject, TypeError or RangeError for the rest.
 */
export function streamSettings(config: StreamConfig): StreamSettings {
  knownOptions("ensureStream", config, ["name", "subjects", "maxMsgs", "maxAge"]);
  const { name, subjects } = config;
  if (typeof name !== "string" || !/^[\w-]{1,64}$/.test(name)) {
    throw new PubSubError(
      "ERR_PUBSUB_SUBJECT",
      "ensureStream: name must be 1 to 64 letters, digits, _ or -",
      { index: typeof name === "string" ? Math.max(0, name.search(/[^\w-]/)) : 0 },
    );
  }
  if (!Array.isArray(subjects) || subjects.length === 0) {
    throw new TypeError("ensureStream: subjects must be a list of at least one subject");
  }
  for (const subject of subjects) validateSubject(subject, "subscribe");
  for (const [i, subject] of subjects.entries()) {
    const other = subjects.slice(0, i).find((it) => overlaps(it, subject));
    if (other === undefined) continue;
    throw new PubSubError(
      "ERR_PUBSUB_STREAM",
      `ensureStream: the subjects ${other} and ${subject} of ${name} overlap: keep one`,
    );
  }
  return {
    name,
    subjects: [...subjects],
    maxMsgs: numberOption("ensureStream", "maxMsgs", config.maxMsgs, {
      least: 1,
      most: 10_000_000,
      fallback: 1000,
    }),
    maxAge: numberOption("ensureStream", "maxAge", config.maxAge, {
      least: 100,
      most: Infinity,
      fallback: Infinity,
    }),
  };
}

/**
 * Checks what was given to `history`, before anything else happens.
 *
 * @throws PubSubError for the subject, TypeError or RangeError for the limit.
 */
export function validateHistory(subject: string, limit: number): void {
  validateSubject(subject, "subscribe");
  if (limit === undefined) throw new TypeError("history: limit must be a number, got undefined");
  numberOption("history", "limit", limit, { least: 0, most: Infinity, fallback: 0 });
}

/** The one of `streams` that retains all that `subject`, or a pattern, matches. */
export const streamOf = <S extends { readonly subjects: readonly string[] }>(
  streams: Iterable<S>,
  subject: string,
): S | undefined => {
  for (const stream of streams) {
    if (stream.subjects.some((it) => covers(it, subject))) return stream;
  }
  return undefined;
};
