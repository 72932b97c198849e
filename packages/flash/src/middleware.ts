import { knownOptions } from "@lanai/session";
import type { ExtendableContext, Next } from "koa";
import { FlashError } from "./errors.ts";
import { type Flash, faceOf, MAX_MESSAGES } from "./flash.ts";
import { type FlashSession, Messages } from "./messages.ts";

export interface FlashOptions {
  /** Which session keeps the messages, where an app has several. Default: `session`. */
  readonly property?: string;
  /**
   * `until-read`: a message waits until it is popped. `next-request`: the next request that passes
   * this middleware has it, whether it asks or not, and no later one. Default: `until-read`.
   */
  readonly life?: "until-read" | "next-request";
  /**
   * The most messages that wait in a session, and that one request may leave. When a request leaves
   * one more, the oldest of those before it is dropped. An integer from 1 to 1,000. Default: 100.
   */
  readonly maxMessages?: number;
}

declare module "koa" {
  interface ExtendableContext {
    /** Messages that are shown once, where `flash()` is mounted. */
    flash: Flash;
  }
}

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

function sessionOf(ctx: ExtendableContext, property: string): FlashSession {
  const { [property]: session } = ctx as unknown as Record<string, FlashSession | undefined>;
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

/** A prefetch may never be looked at (Fetch Standard, `Sec-Purpose`; the others are older names). */
const PURPOSE = ["Sec-Purpose", "Purpose", "X-Moz"];

const showsNothing = (ctx: ExtendableContext): boolean =>
  ctx.method === "HEAD" || PURPOSE.some((name) => /\bprefetch\b/i.test(ctx.get(name)));

const KNOWN: readonly string[] = [
  "property",
  "life",
  "maxMessages",
] satisfies readonly (keyof FlashOptions)[];

function validate(options: FlashOptions): void {
  knownOptions("flash", options, KNOWN);
  const { property, life, maxMessages } = options;
  if (property !== undefined && !/^[A-Za-z_$][\w$]*$/.test(property)) {
    throw new TypeError(
      `flash: property must be a name such as 'session', got ${String(property)}`,
    );
  }
  if (life !== undefined && life !== "until-read" && life !== "next-request") {
    throw new TypeError(`flash: life must be 'until-read' or 'next-request', got ${String(life)}`);
  }
  if (
    maxMessages !== undefined &&
    !(Number.isInteger(maxMessages) && maxMessages >= 1 && maxMessages <= 1000)
  ) {
    throw new RangeError(
      `flash: maxMessages must be an integer from 1 to 1000, got ${String(maxMessages)}`,
    );
  }
}
