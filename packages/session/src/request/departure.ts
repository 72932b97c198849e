import { beforeHead, forbidSharedCaching, headLeft, keepHeaders } from "@lanai/connection";
import type { ExtendableContext } from "koa";
import { events } from "../events.ts";
import { isPromise } from "../manager/call-store.ts";
import type { Awaitable } from "../store.ts";
import type { Tracker } from "../tracker.ts";
import type { StoredSession } from "./stored-session.ts";

/**
 * The session data that is saved before the response head leaves, and the headers that are then
 * sent.
 */
export interface Passenger {
  /** Stores what is left. */
  save(): Awaitable<void>;
  /** The session whose id may be sent. */
  readonly stored: StoredSession | undefined;
  /** Whether the app has asked: the response then depends on who asks. */
  readonly accessed: boolean;
}

/**
 * The response's side of a session: before the head leaves, the session is saved, and its id is sent
 * or cleared. The save runs once: `open` before it, `closing` while it runs, `closed` after it.
 *
 * The things that a request can do end in this order:
 *
 * 1. setting values, when the last call of the store has left with all that was set (`isTooLateToSet`);
 * 2. storing anything, when the save is done or somebody has begun to send the head (`isClosed`);
 * 3. sending an id, when the head itself is sent (`isTooLateForId`): the id of what was just saved goes
 *    out after the second and before the third.
 */
export class Departure {
  #stage: "open" | "closing" | "closed" = "open";
  #isTooLateToSet = false;
  /** Whether the id is still to be sent, or the client's copy to be cleared. */
  #notice: "send" | "clear" | undefined = undefined;
  #isIdWithheld = false;
  readonly #tracker: Tracker;
  readonly #ctx: ExtendableContext;
  readonly #passenger: Passenger;
  #leaving: Awaitable<void> = undefined;
  #beforeHead: (() => Promise<void>) | undefined = undefined;
  /** Made when it is needed: most requests wait for nothing. */
  #whenClosed: (() => void)[] | undefined = undefined;

  constructor(tracker: Tracker, ctx: ExtendableContext, passenger: Passenger) {
    this.#tracker = tracker;
    this.#ctx = ctx;
    this.#passenger = passenger;
  }

  /** Makes sure that the session is saved before the head leaves. */
  register(): void {
    this.#beforeHead ??= beforeHead(this.#ctx, () => this.leave());
  }

  /** Whether the save before the head is under way: the calls of the store that it makes are the last. */
  get isClosing(): boolean {
    return this.#stage === "closing";
  }

  /** Whether what is set now would be lost: the last call of the store is under way without it. */
  get isTooLateToSet(): boolean {
    return this.#isTooLateToSet;
  }

  /** Whether nothing can be stored any more: it is saved, or somebody has begun to send the head. */
  get isClosed(): boolean {
    return this.#stage === "closed" || headLeft(this.#ctx);
  }

  /** Whether an id can't be sent any more. */
  get isTooLateForId(): boolean {
    return this.#ctx.res.headersSent;
  }

  /** Whether the request has failed before it sent an id that it was to send. */
  get isIdWithheld(): boolean {
    return this.#isIdWithheld;
  }

  /** Has the id sent to the client before the head leaves. */
  announceId(): void {
    this.#notice = "send";
  }

  /** Has the client's copy of the id cleared before the head leaves. */
  announceEnd(): void {
    this.#notice = "clear";
  }

  /** Called with each call of the store that takes all that was set: while closing, it is the last. */
  beginCall(): void {
    if (this.#stage === "closing") this.#isTooLateToSet = true;
  }

  /** Called when such a call has stored nothing: another one follows, or the request fails. */
  callFailed(): void {
    this.#isTooLateToSet = false;
  }

  /** Calls `fn` when the session is saved and nothing is sent any more. */
  whenClosed(fn: () => void): void {
    if (this.#stage === "closed") fn();
    else if (this.#whenClosed) this.#whenClosed.push(fn);
    else this.#whenClosed = [fn];
  }

  /** Saves and sends what is left, once: at the end of the request, or when somebody sends the head. */
  leave(): Awaitable<void> {
    if (this.#stage !== "open") return this.#leaving;
    this.#stage = "closing";
    try {
      const saving = this.#passenger.save();
      if (isPromise(saving)) {
        this.#leaving = saving.then(
          () => {
            this.#close();
            return this.send();
          },
          (error) => {
            this.abandon();
            throw error;
          },
        );
        return this.#leaving;
      }
    } catch (error) {
      this.abandon();
      throw error;
    }
    this.#close();
    this.#leaving = this.send();
    return this.#leaving;
  }

  /** Ends the request's part. Nothing is saved if there was nothing that could be. */
  finish(): Awaitable<void> {
    if (this.#beforeHead) return this.leave();
    this.#close();
  }

  /** Does the same as `finish` for a request that failed: Koa is about to clear the headers. */
  async finishFailed(): Promise<void> {
    if (this.#passenger.accessed) await keepHeaders(this.#ctx, () => this.#vary());
    await this.finish();
  }

  /** Closes without sending: the store has failed, and the response says so. */
  abandon(): void {
    this.#isIdWithheld = this.#notice === "send";
    this.#close();
  }

  /** Sends the id, or clears the client's copy, if that is still to be done. */
  send(): Awaitable<void> {
    return this.#notice === undefined ? undefined : this.#sendNotice();
  }

  async #sendNotice(): Promise<void> {
    const notice = this.#notice;
    const { stored } = this.#passenger;
    const id = stored?.id;
    const ctx = this.#ctx;
    if (this.isTooLateForId) return;
    this.#notice = undefined;
    if (notice === "send") {
      // Somebody else has renewed the session since: the client was sent another id.
      if (stored === undefined || id === undefined) return;
      await keepHeaders(ctx, async () => {
        await this.#tracker.set(ctx, id, stored.record, stored.maxAge);
        this.#forbidCaching();
      });
    } else {
      await keepHeaders(ctx, async () => {
        await this.#tracker.clear(ctx);
        this.#forbidCaching();
      });
    }
  }

  /** OWASP Session Management Cheat Sheet, *Web Content Caching*; RFC 9111, 5.2.2. */
  #forbidCaching(): void {
    const ctx = this.#ctx;
    if (!ctx.res.hasHeader("Cache-Control")) ctx.res.setHeader("Cache-Control", "no-store");
    forbidSharedCaching(ctx, (replaced) =>
      events.report("cacheable", replaced, {
        level: "warn",
        message:
          `a response that sends a session's id had ${replaced}, by which a shared cache may hand ` +
          "the id to others: it was replaced by Cache-Control: no-store",
      }),
    );
  }

  #close(): void {
    this.#stage = "closed";
    if (this.#whenClosed) this.#callWaiting(this.#whenClosed);
    if (this.#passenger.accessed) this.#vary();
  }

  #callWaiting(waiting: readonly (() => void)[]): void {
    this.#whenClosed = undefined;
    for (const fn of waiting) fn();
  }

  #vary(): void {
    const { vary } = this.#tracker;
    const ctx = this.#ctx;
    if (vary === undefined || ctx.res.headersSent) return;
    if (ctx.res.hasHeader("Vary")) ctx.vary(vary);
    else ctx.res.setHeader("Vary", vary);
  }
}
