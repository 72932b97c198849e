/** The failures since the last connection that lasted. */
interface Failures {
  /** All attempts, by which the wait grows. */
  readonly tries: number;
  /** Refusals in a row by a server that says it would take the connection. */
  readonly taken: number;
  /** Refusals in a row by a server that says it is unavailable. */
  readonly unavailable: number;
}

/** The state of the connection. Every state but `ended` leads back to `open`. */
export type State =
  | {
      readonly name:
        | "connecting"
        | "open"
        /** A connection was refused before it opened: one `fetch` finds out why. */
        | "probing"
        | "waiting"
        /** The page is frozen or in the back/forward cache. */
        | "paused";
      readonly failures: Failures;
    }
  | { readonly name: "ended"; readonly code: string };

export type Input =
  | { readonly name: "opened" }
  /** It has been open for long enough to count as a success. */
  | { readonly name: "lasted" }
  | { readonly name: "closed"; readonly code: number }
  /** The status of the `fetch`, 0 if it failed; its `Retry-After` in milliseconds. */
  | {
      readonly name: "probed";
      readonly status: number;
      readonly retryAfter?: number;
      /** Whether there is another transport to try. */
      readonly hasOther: boolean;
    }
  | { readonly name: "timer" }
  /** Nothing came for too long. */
  | { readonly name: "silent" }
  /** The page was frozen or put into the cache. */
  | { readonly name: "pause" }
  | { readonly name: "resume" }
  /** The network is there again, the page is seen again, or the machine has slept. */
  | { readonly name: "wake" }
  | { readonly name: "close" };

type Effect =
  | {
      readonly do:
        | "open"
        | "drop"
        | "probe"
        | "cancel"
        /** Find out at once whether the connection lives. */
        | "check"
        /** Take the other transport from now on. */
        | "switch";
    }
  | { readonly do: "wait"; readonly ms: number };

/** The shortest and the longest range of a random wait, in milliseconds. */
const BASE = 500;
const MOST = 30_000;
/** The time over which the clients of a server that has ended come back, in milliseconds. */
const SPREAD = 5_000;
/** The time over which the clients of one network come back with it, in milliseconds. */
const WAKE = 1_000;
/** After so many refusals in a row the line ends: 2 and 10 minutes. */
const MOST_TAKEN = 12;
const MOST_UNAVAILABLE = 44;

const NONE: Failures = { tries: 0, taken: 0, unavailable: 0 };
export const INITIAL: State = { name: "connecting", failures: NONE };

type Step = [State, Effect[]];

const stay = (state: State): Step => [state, []];
const endWith = (code: string, ...effects: Effect[]): Step => [{ name: "ended", code }, effects];
const connecting = (failures: Failures, ...effects: Effect[]): Step => [
  { name: "connecting", failures },
  [...effects, { do: "open" }],
];
const waiting = (failures: Failures, ms: number, ...effects: Effect[]): Step => [
  { name: "waiting", failures },
  [...effects, { do: "wait", ms }],
];
const again = (failures: Failures): Failures => ({ ...failures, tries: failures.tries + 1 });

/** Full jitter: any time from 0 to a limit that doubles, but at least `least` as a limit. */
const backOff = ({ tries }: Failures, random: number, least = 0): number =>
  random * Math.max(least, Math.min(MOST, BASE * 2 ** tries));

/** Returns the connection's next step. Pure: the caller passes `random`, from 0 to 1. */
export function next(state: State, input: Input, random: number): Step {
  if (state.name === "ended") return stay(state);
  const { name, failures } = state;
  switch (input.name) {
    case "close":
      return endWith("ERR_CLOSED", { do: "cancel" }, { do: "drop" });
    case "pause":
      return [{ name: "paused", failures }, [{ do: "cancel" }, { do: "drop" }]];
    case "resume":
      return name === "paused" ? connecting(NONE) : stay(state);
    case "wake":
      if (name === "open") return [state, [{ do: "check" }]];
      return name === "waiting" ? waiting(NONE, random * WAKE, { do: "cancel" }) : stay(state);
    case "opened":
      return name === "connecting" ? [{ name: "open", failures }, []] : stay(state);
    case "lasted":
      return name === "open" ? [{ name, failures: NONE }, []] : stay(state);
    case "silent":
      if (name === "open")
        return waiting(again(failures), backOff(failures, random), { do: "drop" });
      if (name !== "connecting") return stay(state);
      return [{ name: "probing", failures }, [{ do: "drop" }, { do: "probe" }]];
    case "timer":
      return name === "waiting" ? connecting(failures) : stay(state);
    case "closed":
      return name === "open" || name === "connecting"
        ? closed(name, failures, input.code, random)
        : stay(state);
    case "probed":
      return name === "probing" ? probed(failures, input, random) : stay(state);
  }
}

function closed(
  name: "open" | "connecting",
  failures: Failures,
  code: number,
  random: number,
): Step {
  if (code === 4400) return endWith("ERR_MALFORMED");
  if (code === 4401) return endWith("ERR_SIGNED_OUT");
  if (code === 4403 && failures.tries === 0) return connecting(again(failures));
  if (name === "connecting" && code === 1006) {
    return [{ name: "probing", failures }, [{ do: "probe" }]];
  }
  // A server that was killed says nothing: whatever the code, many may have lost it at once.
  return waiting(again(failures), backOff(failures, random, SPREAD));
}

function probed(
  before: Failures,
  { status, retryAfter = 0, hasOther }: Extract<Input, { name: "probed" }>,
  random: number,
): Step {
  if (status === 401) {
    // After a renewal a page may come back before its new cookie has arrived.
    if (before.tries === 1) return waiting(again(before), (1 + random) * WAKE);
    return endWith("ERR_SIGNED_OUT");
  }
  if (status === 403) return endWith("ERR_FORBIDDEN");
  if (status === 404) return endWith("ERR_NOT_FOUND");
  if (status === 400 || status === 426) return endWith("ERR_MALFORMED");
  const isUnavailable = status >= 500 || status === 429;
  const isTaken = status > 0 && !isUnavailable;
  // Only in a row: a server may come back between an attempt and the question why it failed.
  const failures: Failures = {
    tries: before.tries + 1,
    taken: isTaken ? before.taken + 1 : 0,
    unavailable: isUnavailable ? before.unavailable + 1 : 0,
  };
  if (failures.unavailable > MOST_UNAVAILABLE) return endWith("ERR_UNAVAILABLE");
  if (failures.taken > MOST_TAKEN) return endWith("ERR_NO_WEBSOCKET");
  if (isTaken && hasOther) {
    if (before.tries === 0) return connecting(failures, { do: "switch" });
    return waiting(failures, backOff(before, random), { do: "switch" });
  }
  const wait = backOff(before, random, isUnavailable ? SPREAD : 0);
  return waiting(failures, Math.min(retryAfter, 600_000) + wait);
}
