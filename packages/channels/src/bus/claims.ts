import { randomUUID } from "node:crypto";
import type { Note } from "@lanai/connection/note-seal";
import { compareCursors, type Message, type Subscription } from "@lanai/pubsub";
import { within } from "../within.ts";
import type { Notes } from "./notes.ts";

/** The outcome of a call. */
export type Outcome =
  | { readonly ok: true; readonly json: string | undefined }
  | { readonly ok: false; readonly code: string; readonly message: string | undefined };

interface Claim {
  /** The attempt that may handle the call: the one whose claim the stream has taken. */
  readonly by: string;
  /** The claim's place in the stream of claims. */
  readonly cursor: string | undefined;
  readonly outcome: PromiseWithResolvers<Outcome>;
  /** An instant of `performance.now`. */
  readonly until: number;
}

export interface ClaimsOptions {
  readonly notes: Notes;
  readonly scope: string;
  /** The longest wait for a claim or an outcome, in milliseconds. */
  readonly timeout: number;
}

/** The time in which the bus recognises a `messageId`, in milliseconds. */
const REMEMBERED = 120_000;
/** Claims and outcomes that the stream retains, and claims that are kept here. */
const MOST = 100_000;
/** A larger result isn't remembered, so a page that asks again for it learns nothing. */
const MOST_RESULT = 32_768;

/**
 * The calls that were handled, in all processes. Before a process handles a call, it claims the call's
 * id by a message that the bus takes once for each id. So the call is handled at most once as long as
 * the bus recognises the id, even if no process remembers it.
 */
export class Claims {
  readonly #options: ClaimsOptions;
  readonly #subject: string;
  readonly #claims = new Map<string, Claim>();
  readonly #waiting = new Map<string, Set<() => void>>();
  #subscription: Promise<Subscription> | undefined;

  constructor(options: ClaimsOptions) {
    this.#options = options;
    this.#subject = `${options.scope}.calls`;
  }

  /** @throws what the bus rejects with; the next call tries again. */
  #open(): Promise<Subscription> {
    this.#subscription ??= this.#subscribe().catch((error: unknown) => {
      this.#subscription = undefined;
      throw error;
    });
    return this.#subscription;
  }

  async #subscribe(): Promise<Subscription> {
    const { notes, scope } = this.#options;
    await notes.ensureStream({
      ...{ name: `${scope}-calls`, subjects: [this.#subject] },
      ...{ maxMsgs: MOST, maxAge: REMEMBERED },
    });
    // An outcome that came before is asked for by a page that comes back from another process.
    const subscription = await notes.subscribe(
      this.#subject,
      (note, message) => this.#receive(note, message),
      {
        replay: MOST,
      },
    );
    void subscription.closed.then(() => {
      this.#subscription = undefined;
    });
    return subscription;
  }

  /** The place up to which this process knows the claims. */
  async place(): Promise<string | undefined> {
    return (await this.#open()).cursor;
  }

  #receive({ id, by, outcome }: Note, { id: cursor }: Message): void {
    if (typeof id !== "string" || typeof by !== "string") return;
    const known = this.#claims.get(id);
    if (outcome !== undefined) {
      if (known?.by === by && isOutcome(outcome)) known.outcome.resolve(outcome);
      return;
    }
    if (known) return;
    this.#forget();
    const until = performance.now() + REMEMBERED;
    this.#claims.set(id, { by, cursor, until, outcome: Promise.withResolvers() });
    for (const wake of this.#waiting.get(id) ?? []) wake();
  }

  #forget(): void {
    for (const [id, { until }] of this.#claims) {
      if (until > performance.now() && this.#claims.size < MOST) return;
      this.#claims.delete(id);
    }
  }

  /**
   * Runs `handle` if nobody has run it under this id; else resolves to what that resulted in.
   * `undefined`: that isn't known, and the call may have been handled.
   *
   * @param since - For a call that is sent again: a place of the stream of claims from before it was sent
   * first. If the stream was lost since then, a claim of the call may be lost with it.
   * @throws what the bus rejects with before anything can have been handled.
   */
  async once(
    id: string,
    handle: () => Promise<Outcome>,
    since?: string,
  ): Promise<Outcome | undefined> {
    const { notes, timeout } = this.#options;
    await this.#open();
    const by = randomUUID();
    if (!this.#claims.has(id)) {
      const claimed = this.#claimed(id, timeout);
      // If this fails, the claim may have been taken all the same: then it comes.
      await notes.publish(this.#subject, { id, by }, { messageId: id }).catch(() => {});
      await claimed;
    }
    const claim = this.#claims.get(id);
    if (claim === undefined) return undefined;
    if (claim.by !== by) return within(claim.outcome.promise, timeout);
    const isAfter = since === undefined || (compareCursors(claim.cursor ?? "", since) ?? 0) > 0;
    if (!isAfter) return undefined;
    const outcome = await handle();
    claim.outcome.resolve(outcome);
    const size = outcome.ok ? (outcome.json?.length ?? 0) : 0;
    if (size <= MOST_RESULT) {
      notes.publish(this.#subject, { id, by, outcome }).catch(() => {});
    }
    return outcome;
  }

  #claimed(id: string, timeout: number): Promise<unknown> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, waiting.add(resolve));
    return within(promise, timeout).finally(() => {
      waiting.delete(resolve);
      if (waiting.size === 0) this.#waiting.delete(id);
    });
  }

  async close(): Promise<void> {
    await (await this.#subscription?.catch(() => undefined))?.unsubscribe();
  }
}

function isOutcome(value: unknown): value is Outcome {
  const { ok, json, code, message } = (value ?? {}) as Record<string, unknown>;
  const isTextOr = (it: unknown) => it === undefined || typeof it === "string";
  return ok === true
    ? isTextOr(json)
    : ok === false && typeof code === "string" && isTextOr(message);
}
