import type { Session } from "@lanai/session";
import type { ExtendableContext, Next } from "koa";
import { FlashError } from "./errors.ts";
import { type Flash, faceOf, MAX_MESSAGES } from "./flash.ts";
import { Messages } from "./messages.ts";
import { type FlashOptions, validate } from "./options.ts";

declare module "koa" {
  interface ExtendableContext {
    /** Messages that are shown once, where `flash()` is mounted. */
    flash: Flash;
  }
}

/** Koa middleware that puts `ctx.flash` on each context. */
export type FlashMiddleware = (ctx: ExtendableContext, next: Next) => Promise<void>;

/** On each `ctx.flash` of ours: its options. Registered, so that two copies see each other's. */
const OPTIONS = Symbol.for("lanai.flash");

/**
 * Flash messages as `ctx.flash`, for the whole app, a group of routes or one route. Mounted at
 * several levels it is one.
 *
 * @throws {TypeError | RangeError} for an option that doesn't exist or can't be.
 */
export function flash(options: FlashOptions = {}): FlashMiddleware {
  validate(options);
  const { property = "session", life = "until-read", maxMessages = MAX_MESSAGES } = options;
  const ours = JSON.stringify([property, life, maxMessages]);

  return async (ctx, next) => {
    const before = ctx.flash as (Flash & { [OPTIONS]?: string }) | undefined;
    if (before === undefined) {
      const messages = new Messages({
        session: () => sessionOf(ctx, property),
        showsNothing: () => showsNothing(ctx),
        maxMessages,
      });
      ctx.flash = Object.assign(faceOf(messages), { [OPTIONS]: ours });
      if (life === "next-request") await messages.inherit();
    } else if (before[OPTIONS] !== ours) {
      throw new FlashError(
        "ERR_FLASH_TAKEN",
        "ctx.flash is there already, by another package or by flash() with other options: mount one",
      );
    }
    return next();
  };
}

function sessionOf(ctx: ExtendableContext, property: string): Session {
  const { [property]: session } = ctx as unknown as Record<string, Session | undefined>;
  if (typeof session?.namespace === "function") return session;
  const line =
    property === "session"
      ? "session()"
      : `createSessions({ property: "${property}" }).middleware()`;
  throw new FlashError(
    "ERR_FLASH_NO_SESSION",
    `ctx.flash keeps its messages in a session of @lanai/session, and ctx.${property} is none: ` +
      `add app.use(${line}) before it`,
  );
}

/**
 * Headers whose value says what a request is for: `Sec-Purpose` of browsers (Fetch Standard), and older
 * names. Scripts can't set `Sec-` headers, so frameworks send others (Turbo: `X-Sec-Purpose`).
 */
const PURPOSE = /(?:^|-)purpose$|^x-moz$/;
const NOT_SHOWN = /\b(?:prefetch|prerender|preview|preload)/i;
/** Headers that are there only on a prefetch, such as `Next-Router-Prefetch` and htmx's `HX-Preloaded`. */
const PREFETCH = /(?:^|-)(?:prefetch|preload|preloaded)$/;
const NO = /^(?:0|false|)$/i;

/** Whether nobody may ever look at the response: a prefetch or a preview, however it is announced. */
const showsNothing = (ctx: ExtendableContext): boolean =>
  ctx.method === "HEAD" ||
  Object.entries(ctx.headers).some(
    ([name, value]) =>
      (PURPOSE.test(name) && NOT_SHOWN.test(`${value}`)) ||
      (PREFETCH.test(name) && !NO.test(`${value}`)),
  );
