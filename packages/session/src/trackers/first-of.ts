import type { ExtendableContext } from "koa";
import type { Id } from "../id-generator.ts";
import type { Awaitable } from "../store.ts";
import type { PresentedToken, Tracker } from "../tracker.ts";

/** A token that a request brought, and the tracker that found it. */
interface TokenFromTracker {
  readonly tracker: Tracker;
  readonly token: PresentedToken;
}

/** A request's tokens, and the id of the one that was admitted last. */
interface RequestTokens {
  readonly all: readonly TokenFromTracker[];
  admitted: Id | undefined;
}

/**
 * One session by several routes: by a browser's cookie or another program's header, say.
 *
 * All trackers are asked, and all their tokens are checked: a dead id in one hides no live id in
 * another. If two open different sessions, they are refused as `ambiguous`; none is guessed.
 *
 * An id is written to every tracker that brought the request's session, so that two that agree go
 * on agreeing after a renewal; if none did, to those that brought another id, and otherwise to the
 * first. It is cleared at every tracker that brought something, or at the first. The tracker that
 * brought a token admits it. It is synchronous to read if all of its trackers are, and strict if
 * one is.
 *
 * @throws TypeError for fewer than two trackers, or for what is no tracker.
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

  const found = new WeakMap<ExtendableContext, RequestTokens>();

  const keep = (
    ctx: ExtendableContext,
    results: readonly (readonly PresentedToken[])[],
  ): readonly PresentedToken[] => {
    const all = results.flatMap((tokens, at) =>
      tokens.map((token) => ({ token, tracker: trackers[at] ?? first })),
    );
    found.set(ctx, { all, admitted: undefined });
    return all.map(({ token }) => token);
  };

  const clearersOf = (ctx: ExtendableContext): readonly Tracker[] => {
    const brought = new Set(found.get(ctx)?.all.map(({ tracker }) => tracker));
    return brought.size > 0 ? [...brought] : [first];
  };

  const writersOf = (ctx: ExtendableContext): readonly Tracker[] => {
    const { all = [], admitted } = found.get(ctx) ?? {};
    const withId = all.filter(({ token }) => token.id !== undefined);
    const chosen = withId.filter(({ token }) => token.id === admitted);
    const writers = chosen.length > 0 ? chosen : withId;
    return writers.length > 0 ? [...new Set(writers.map((it) => it.tracker))] : [first];
  };

  const vary = [...new Set(trackers.flatMap((tracker) => tracker.vary ?? []))].join(", ");
  const challenge = trackers.find((tracker) => tracker.challenge !== undefined)?.challenge;

  return {
    get(ctx, text) {
      const results = trackers.map((tracker) => tracker.get(ctx, text));
      return areSettled(results)
        ? keep(ctx, results)
        : Promise.all(results.map(async (result) => result)).then((all) => keep(ctx, all));
    },

    async set(ctx, id, record, maxAge) {
      await Promise.all(writersOf(ctx).map(async (it) => it.set(ctx, id, record, maxAge)));
    },

    async clear(ctx) {
      await Promise.all(clearersOf(ctx).map(async (it) => it.clear(ctx)));
    },

    admit(ctx, token, record, at) {
      const brought = found.get(ctx);
      const { tracker = first } = brought?.all.find((it) => it.token === token) ?? {};
      const admission = tracker.admit?.(ctx, token, record, at) ?? { status: "accept" };
      if (brought && admission.status === "accept") brought.admitted = token.id;
      return admission;
    },

    tokenKind(ctx, token) {
      const { all = [] } = (ctx && found.get(ctx)) ?? {};
      const { tracker } = all.find((it) => it.token === token) ?? {};
      const [writer = first] = ctx ? writersOf(ctx) : [first];
      return (tracker ?? writer).tokenKind?.(ctx, token);
    },

    ...(first.present && { present: (id, options) => first.present?.(id, options) ?? {} }),
    ...(vary !== "" && { vary }),
    ...(challenge !== undefined && { challenge }),
    ...(trackers.some(({ strict }) => strict) && { strict: true }),
  };
}

function areSettled<T>(results: readonly Awaitable<T>[]): results is readonly T[] {
  return !results.some((result) => result instanceof Promise);
}
