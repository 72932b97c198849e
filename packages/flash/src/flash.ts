import type { Session } from "@lanai/session";
import type { FlashLevel, FlashMessage, FlashText } from "./message.ts";
import { Messages } from "./messages.ts";

/** Leaves a message of one level. */
export type FlashAt = (message: FlashText, data?: unknown) => void;

/**
 * The messages of one visitor, in the order in which they were left. All but `pop` need a session
 * that is loaded; `pop` loads a lazy one.
 */
export interface Flash {
  /**
   * Leaves a message, stored with all else that the request sets. `data` is anything that a session
   * can store.
   *
   * @param level - Default: `info`.
   * @throws {TypeError} for what can't be shown or stored.
   * @throws {FlashError} `ERR_FLASH_TOO_MANY` for more than `maxMessages` in one request.
   */
  (message: FlashText, level?: FlashLevel, data?: unknown): void;

  /** Adds a message of level `info`. */
  readonly info: FlashAt;
  /** Adds a message of level `success`. */
  readonly success: FlashAt;
  /** Adds a message of level `warning`. */
  readonly warning: FlashAt;
  /** Adds a message of level `error`. */
  readonly error: FlashAt;

  /** Adds a message for this request alone: it is never stored, unless {@link Flash.keep} does. */
  now(message: FlashText, level?: FlashLevel, data?: unknown): void;

  /**
   * Takes the messages, or those of one level, at once and in one commit: of two requests exactly
   * one gets each. A request that shows nothing (`HEAD`, a prefetch) gets none and leaves them all.
   */
  pop(level?: FlashLevel): Promise<FlashMessage[]>;

  /** The messages, or those of one level, which stay. */
  peek(level?: FlashLevel): FlashMessage[];

  /**
   * Puts back, for the next request, the messages that this one has taken or added by
   * {@link Flash.now}.
   */
  keep(level?: FlashLevel): void;
}

export const MAX_MESSAGES = 100;

/** A session of any shape, as `sessions.open(id)` resolves to it. */
export interface FlashSession {
  load(): Promise<unknown>;
  readonly publicId: string | undefined;
}

/**
 * The messages of a session that is no request's: for a job, or a socket's handler, which has it by
 * `await sessions.open(id)`. Nothing is stored before the session's `commit()`; the bound is 100.
 */
export const flashOf = (session: FlashSession): Flash =>
  faceOf(
    new Messages({
      session: () => session as unknown as Session,
      showsNothing: () => false,
      maxMessages: MAX_MESSAGES,
    }),
  );

/** Returns the part of {@link Messages} that an app sees. */
export function faceOf(messages: Messages): Flash {
  const at =
    (level: FlashLevel): FlashAt =>
    (message, data) =>
      messages.add(message, level, data);
  const flash = (message: FlashText, level?: FlashLevel, data?: unknown) =>
    messages.add(message, level, data);
  return Object.assign(flash, {
    info: at("info"),
    success: at("success"),
    warning: at("warning"),
    error: at("error"),
    now: (message: FlashText, level?: FlashLevel, data?: unknown) =>
      messages.now(message, level, data),
    pop: (level?: FlashLevel) => messages.pop(level),
    peek: (level?: FlashLevel) => messages.peek(level),
    keep: (level?: FlashLevel) => messages.keep(level),
  });
}
