import { headLeft, keepHeaders } from "@lanai/connection";
import type { Entries, Session } from "@lanai/session";
import { extend } from "@lanai/session/extension";
import type { ExtendableContext } from "koa";
import {
  type Bound,
  type BoundEntries,
  NAMESPACE,
  newOffer,
  type Offer,
  readBound,
  readOffer,
} from "./binding.ts";
import type { BoundCookie } from "./bound-cookie.ts";
import { LiveConnection } from "./connections.ts";
import { refusal } from "./errors.ts";
import { events } from "./events.ts";
import { bondOf, type Extendable } from "./listeners.ts";
import type { BoundSettings } from "./options.ts";
import { askAgain, HEADERS, offerOf, skippedBecause } from "./wire.ts";

/** Whether a request passes whose session isn't bound; with `signing-in`, only soon after the sign-in. */
export type Unbound = "allow" | "refuse" | "signing-in";

/** The package's entries in a session. */
export const entriesOf = (session: Session): Entries<BoundEntries> =>
  extend(session).namespace(NAMESPACE);

/** One request of a session, which may have to prove that it comes from the session's device. */
export class Visit {
  readonly session: Session;
  readonly bound: Bound;
  readonly offer: Offer | undefined;
  /** The instant until which the request's bound cookie is accepted; `undefined` without a valid one. */
  readonly until: number | undefined;
  readonly #ctx: ExtendableContext;
  readonly #settings: BoundSettings;
  readonly #cookie: BoundCookie;
  #connection: LiveConnection | undefined;

  constructor(
    ctx: ExtendableContext,
    session: Session,
    settings: BoundSettings,
    cookie: BoundCookie,
  ) {
    this.#ctx = ctx;
    this.#settings = settings;
    this.#cookie = cookie;
    this.session = session;
    const entries = entriesOf(session);
    this.bound = readBound(entries.get("device"));
    this.offer = readOffer(entries.get("offer"));
    const { publicId } = session;
    this.until = cookie.provenUntil(ctx, { publicId, ...this }, settings.clock());
  }

  /** @throws {BoundError} `ERR_BOUND_PROOF` or `ERR_BOUND_REQUIRED`. */
  check(unbound: Unbound): void {
    const limit =
      this.bound.status === "unbound" ? this.#admitUnbound(unbound) : this.#admitBound();
    if (limit !== undefined) this.#limit(limit);
  }

  /** Returns the instant until which a live connection is proven, or `undefined` if it needs no proof. */
  #admitUnbound(unbound: Unbound): number | undefined {
    const { offer, until, session } = this;
    const isLate = session.userId !== undefined && until === undefined;
    if (unbound === "refuse" || (unbound === "signing-in" && isLate)) {
      this.report("refused", "unbound");
      throw refusal("ERR_BOUND_REQUIRED", 401, "this session is not bound to a device");
    }
    // A connection from before a registration must not outlive it without a proof.
    return offer && this.#settings.clock() < offer.until ? (until ?? offer.until) : undefined;
  }

  #admitBound(): number {
    if (this.until !== undefined) return this.until;
    const skipped = skippedBecause(this.#ctx);
    const isAllowed = skipped !== undefined && this.#settings.onSkipped === "allow";
    if (skipped !== undefined) this.report("skipped", skipped, isAllowed ? "warn" : "info");
    if (isAllowed) return this.#settings.clock();
    this.report("refused", "no-proof");
    const message = "this session is bound to a device, which this request does not prove";
    throw refusal("ERR_BOUND_PROOF", 401, message, askAgain(this.#ctx));
  }

  /** Ends the live connection that the request may become when its proof is too old. */
  #limit(until: number): void {
    const { grace, clock } = this.#settings;
    this.#connection ??= new LiveConnection(this.#ctx, {
      until: until + grace,
      clock,
      ended: () => this.report("ended", "proof-too-old"),
    });
  }

  /** The live connection that the request has become; `undefined` if its page can't extend it. */
  get extendable(): Extendable | undefined {
    const { bound, until, session } = this;
    const lease = this.#connection?.lease;
    const { publicId } = session;
    if (!lease || bound.status !== "bound" || publicId === undefined) return undefined;
    return { bond: bondOf(publicId, bound), lease, until: until ?? this.#settings.clock() };
  }

  /**
   * Adds the headers of the response when the request's middlewares are done, before the session is stored.
   *
   * @param hasFailed - Whether the handler threw, so that Koa is about to remove the headers.
   */
  async leave(hasFailed: boolean): Promise<void> {
    this.#connection?.settle();
    if (headLeft(this.#ctx)) return;
    const write = this.#lastHeaders();
    if (write && hasFailed) await keepHeaders(this.#ctx, write);
    else write?.();
  }

  /** Returns a function that writes the headers the response still needs, or `undefined`. */
  #lastHeaders(): (() => void) | undefined {
    const { session } = this;
    if (session.userId !== undefined && session.hasSignedIn) return this.#newOffer();
    const wasBound = this.bound.status !== "unbound" || this.offer !== undefined;
    const entries = entriesOf(session);
    const isOver = wasBound && !entries.has("device") && !entries.has("offer");
    return isOver ? () => this.#cookie.clear(this.#ctx) : undefined;
  }

  /** Offers a registration, because the user has just signed in or re-authenticated. */
  #newOffer(): () => void {
    const { algorithms, path, clock } = this.#settings;
    const now = clock();
    const offer = newOffer(now);
    const entries = entriesOf(this.session);
    entries.set("offer", offer);
    // Who signs in on another device, or has lost the key, begins without one.
    if (this.until === undefined) entries.delete("device");
    return () => {
      const value = offerOf(algorithms, `${path}/register`, offer.challenge);
      this.#ctx.set(HEADERS.registration, value);
      this.#cookie.bridge(this.#ctx, offer, now);
    };
  }

  report(
    name: Parameters<typeof events.emit>[0],
    reason?: string,
    level: "info" | "warn" = name === "refused" ? "warn" : "info",
  ): void {
    const { publicId, isNew } = this.session;
    const session = isNew ? undefined : publicId;
    events.emit(name, {
      level,
      ...(session !== undefined && { session }),
      ...(reason !== undefined && { reason }),
    });
  }
}
