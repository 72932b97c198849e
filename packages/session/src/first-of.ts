import type { ExtendableContext } from "koa";
import type { Awaitable } from "./store.ts";
import type { Tracked, Tracker } from "./tracker.ts";

/**
 * One session by several routes: a browser's cookie or another program's header, say.
 *
 * All are asked. Different ids are refused as `ambiguous`, not guessed, and so is an id beside
 * something that another tracker refused, for that tracker's reason: whoever can add a bad header to
 * a request must not choose which session it is.
 *
 * Ids are written to (and cleared at) every tracker that brought the request's id, so that two that
 * agree go on agreeing after a renewal; where none did, to the first. The first that brought it
 * admits the session. It is synchronous to read if all of its trackers are, and strict if one is.
 *
 * @throws TypeError for fewer than two trackers, or for what is none.
 */
export function firstOf(...trackers: readonly Tracker[]): Tracker {
  const [first] = trackers;
  if (first === undefined || trackers.length < 2) {
    throw new TypeError(`firstOf: takes at least two trackers, got ${trackers.length}`);
  }
  const stranger = trackers.findIndex((tracker) => typeof tracker?.get !== "function");
  if (stranger !== -1) {
    throw new TypeError(`firstOf: argument ${stranger + 1} is no tracker: it has no get()`);
  }

  const matched = new WeakMap<ExtendableContext, readonly Tracker[]>();
  const writersOf = (ctx: ExtendableContext) => matched.get(ctx) ?? [first];

  const choose = (
    ctx: ExtendableContext,
    results: readonly (Tracked | undefined)[],
  ): Tracked | undefined => {
    matched.delete(ctx);
    const refused = results.find((result) => result !== undefined && result.id === undefined);
    if (refused) return refused;
    const chosen = results.find((result) => result !== undefined);
    if (chosen === undefined) return undefined;
    if (results.some((result) => result !== undefined && result.id !== chosen.id)) {
      return { refused: "ambiguous" };
    }
    matched.set(
      ctx,
      trackers.filter((_, at) => results[at] !== undefined),
    );
    return chosen;
  };

  const vary = [...new Set(trackers.flatMap((tracker) => tracker.vary ?? []))].join(", ");
  const challenge = trackers.find((tracker) => tracker.challenge !== undefined)?.challenge;

  return {
    get(ctx, text) {
      const results = trackers.map((tracker) => tracker.get(ctx, text));
      return areSettled(results)
        ? choose(ctx, results)
        : Promise.all(results.map(async (result) => result)).then((all) => choose(ctx, all));
    },

    async set(ctx, id, record, maxAge) {
      await Promise.all(writersOf(ctx).map(async (it) => it.set(ctx, id, record, maxAge)));
    },

    async clear(ctx) {
      await Promise.all(writersOf(ctx).map(async (it) => it.clear(ctx)));
    },

    admit: (ctx, tracked, record, found) =>
      writersOf(ctx)[0]?.admit?.(ctx, tracked, record, found) ?? { status: "accept" },

    ...(first.present && { present: (id, options) => first.present?.(id, options) ?? {} }),
    ...(vary !== "" && { vary }),
    ...(challenge !== undefined && { challenge }),
    ...(trackers.some(({ strict }) => strict) && { strict: true }),
  };
}

function areSettled<T>(results: readonly Awaitable<T>[]): results is readonly T[] {
  return !results.some((result) => result instanceof Promise);
}
