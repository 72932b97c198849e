import { type Channel, channel } from "node:diagnostics_channel";

/** The fields of every event. */
export interface LeveledEvent {
  /** The importance: `warn` and `error` deserve attention. */
  readonly level: "info" | "warn" | "error";
}

/** The events of one package on `node:diagnostics_channel`, by their names. */
export interface Events<Map extends Record<keyof Map, LeveledEvent>> {
  /** Publishes an event, if anybody has subscribed to its name. */
  emit<Name extends keyof Map>(name: Name, event: Map[Name]): void;
  /**
   * Publishes an event of level `warn`, at most once a minute for each `cause` of its name. After
   * `maxCauses` causes in one minute, all further ones count as one. An event without a subscriber
   * doesn't count.
   *
   * @param cause - A constant text that names what is wrong. It is compared, and never published.
   */
  report<Name extends keyof Map>(
    name: Name,
    cause: string,
    event: Map[Name] & { readonly level: "warn" },
  ): void;
  /** Whether anybody has subscribed: where it is dear to make an event. */
  isWatched(name: keyof Map): boolean;
}

/** Settings of `eventsOf` for tests, and for packages with many causes. */
export interface EventsSettings {
  /** Milliseconds from any fixed instant. Default: `performance.now`, which no clock change moves. */
  readonly clock?: () => number;
  /** The most causes that are remembered. Default: 100. */
  readonly maxCauses?: number;
}

const MINUTE = 60_000;

/**
 * Makes the emitter of the events `<prefix>:<name>`, such as `lanai:session:created`.
 *
 * ```ts
 * const NAMES = ["created", "destroyed"] as const;
 * export type SessionEventName = (typeof NAMES)[number];
 * export const events: Events<Record<SessionEventName, SessionEvent>> = eventsOf("lanai:session", NAMES);
 * ```
 */
export function eventsOf<Map extends Record<keyof Map, LeveledEvent>>(
  prefix: string,
  names: readonly (keyof Map & string)[],
  { clock = () => performance.now(), maxCauses = 100 }: EventsSettings = {},
): Events<Map> {
  const channels = Object.fromEntries(
    names.map((name) => [name, channel(`${prefix}:${name}`)]),
  ) as Record<keyof Map, Channel>;
  const isDue = oncePerMinute(clock, maxCauses);

  const emit: Events<Map>["emit"] = (name, event) => {
    const { [name]: subscribed } = channels;
    if (subscribed.hasSubscribers) subscribed.publish(event);
  };

  return {
    emit,
    report(name, cause, event) {
      if (channels[name].hasSubscribers && isDue(`${String(name)}:${cause}`)) emit(name, event);
    },
    isWatched: (name) => channels[name].hasSubscribers,
  };
}

function oncePerMinute(clock: () => number, maxCauses: number): (cause: string) => boolean {
  /** The time of the last report of each cause, the oldest first. */
  const reported = new Map<string, number>();
  let restReportedAt = -Infinity;
  // A clock that was set back has passed the minute: better one report too many than none for hours.
  const isRecent = (at: number, now: number): boolean => now >= at && now - at < MINUTE;

  return (cause) => {
    const now = clock();
    const last = reported.get(cause);
    if (last !== undefined && isRecent(last, now)) return false;
    reported.delete(cause);
    if (reported.size >= maxCauses) {
      for (const [old, at] of reported) if (!isRecent(at, now)) reported.delete(old);
    }
    if (reported.size < maxCauses) {
      reported.set(cause, now);
      return true;
    }
    if (isRecent(restReportedAt, now)) return false;
    restReportedAt = now;
    return true;
  };
}
