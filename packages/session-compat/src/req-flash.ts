import type { Sessions } from "@lanai/session";
import type { ExtendableContext } from "koa";

/** As connect-flash's, for libraries such as koa-passport with `failureFlash`. */
type ReqFlash = (type: string, message?: unknown) => unknown;

/**
 * The entry of the session that holds messages if `@lanai/flash` isn't mounted, as connect-flash's
 * does.
 */
const ENTRY = "flash";

/**
 * Gives a request its `req.flash(type, message)`. With `@lanai/flash` the message is one of its own, and
 * is read by `await ctx.flash.pop(type)`; without, `req.flash(type)` takes the messages of a type.
 */
export function provideFlash(ctx: ExtendableContext, sessions: Sessions): void {
  const { req } = ctx as unknown as { req: { flash?: ReqFlash } };
  if (req.flash !== undefined) return;
  req.flash = (type, message) => {
    const { flash } = ctx as unknown as { flash?: (message: unknown, level: string) => void };
    const messages = message === undefined ? [] : [message].flat();
    if (typeof flash === "function") {
      if (message === undefined) {
        throw new TypeError("req.flash(type): read the messages by await ctx.flash.pop(type)");
      }
      for (const one of messages) flash(one, type);
      return messages.length;
    }
    const session = sessions.from(ctx);
    const waiting = new Map(Object.entries(session.get(ENTRY) ?? {})) as Map<string, unknown[]>;
    const before = waiting.get(type) ?? [];
    if (message === undefined) {
      if (waiting.delete(type)) session.set(ENTRY, Object.fromEntries(waiting));
      return before;
    }
    const after = [...before, ...messages];
    session.set(ENTRY, Object.fromEntries(waiting.set(type, after)));
    return after.length;
  };
}
