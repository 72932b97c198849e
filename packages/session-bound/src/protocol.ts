import type { ExtendableContext } from "koa";
import {
  type Bound,
  challenged,
  type Device,
  newDevice,
  newestOf,
  type Offer,
  readBound,
  readOffer,
  used,
} from "./binding.ts";
import type { BoundCookie } from "./bound-cookie.ts";
import { thumbprintOf } from "./device-key.ts";
import { type BoundError, refusal } from "./errors.ts";
import { type BoundListeners, bondOf } from "./listeners.ts";
import type { BoundSettings } from "./options.ts";
import { bare, parseProof, parseRegistration } from "./proof.ts";
import { entriesOf, type Visit } from "./visit.ts";
import { HEADERS, identifierOf, sendChallenge, sendEnd, sendInstructions } from "./wire.ts";

export interface ProtocolSettings extends BoundSettings {
  readonly cookie: BoundCookie;
  readonly listeners: BoundListeners | undefined;
}

const IDENTIFIER = /^[\w.-]{1,128}$/;
/** The header in which a page sends its listener's proof. No form and no other site can send it. */
const LISTENER_HEADER = "Lanai-Listener";

type Step = (ctx: ExtendableContext, visit: Visit) => Promise<void>;
type BoundNow = Extract<Bound, { status: "bound" }>;

/** The three requests that browsers and pages make below the path of `boundSessions`. */
export class Protocol {
  readonly #settings: ProtocolSettings;
  readonly #steps: ReadonlyMap<string, Step>;

  constructor(settings: ProtocolSettings) {
    this.#settings = settings;
    const { path } = settings;
    this.#steps = new Map([
      [`${path}/register`, (ctx, visit) => this.#register(ctx, visit)],
      [`${path}/refresh`, (ctx, visit) => this.#refresh(ctx, visit)],
      [`${path}/extend`, (ctx, visit) => this.#extend(ctx, visit)],
    ]);
  }

  /** Returns the function that serves a request for `path`, or `undefined` if it isn't the protocol's. */
  stepFor(ctx: ExtendableContext, path: string): Step | undefined {
    return ctx.method === "POST" ? this.#steps.get(path) : undefined;
  }

  async #register(ctx: ExtendableContext, visit: Visit): Promise<void> {
    const { algorithms, clock, cookie } = this.#settings;
    const { publicId } = visit.session;
    const now = clock();
    const notOffered = (): BoundError => {
      visit.report("refused", "registration-not-offered");
      return refusal("ERR_BOUND_REGISTRATION", 403, "no registration with this challenge is open");
    };
    // Before anything is verified, which costs more than to ask for it.
    if (visit.offer === undefined || publicId === undefined) throw notOffered();
    const registration = parseRegistration(ctx.get(HEADERS.response), algorithms);
    if (registration === undefined) {
      visit.report("refused", "malformed-registration");
      throw refusal("ERR_BOUND_REGISTRATION", 400, "this is no registration of a key");
    }
    const { key, challenge } = registration;
    const offer = await takeOffer(visit, challenge, now);
    if (offer === undefined) throw notOffered();
    const device = newDevice(key, offer, now);
    await entriesOf(visit.session).update("device", () => device);
    visit.report("registered");
    cookie.issue(ctx, publicId, device, now);
    this.#instruct(ctx, publicId, device);
  }

  async #refresh(ctx: ExtendableContext, visit: Visit): Promise<void> {
    const identifier = bare(ctx.get(HEADERS.id));
    if (!IDENTIFIER.test(identifier)) throw badRefresh(400, "this names no session");
    const { bound, session } = visit;
    const { publicId } = session;
    const isIts =
      bound.status === "bound" &&
      publicId !== undefined &&
      identifier === identifierOf(publicId, bound.thumbprint);
    if (!isIts) return this.#end(ctx, visit, identifier);

    const text = ctx.get(HEADERS.response);
    if (text === "") return this.#challenge(ctx, visit, bound);
    const proof = parseProof(text);
    if (proof === undefined) {
      visit.report("refused", "malformed-proof");
      throw badRefresh(400, "this is no proof");
    }
    if (!proof.isSignedBy(bound.device.key)) {
      visit.report("refused", "wrong-key");
      throw badRefresh(401, "this proof is not the device's");
    }
    const after = await change(visit, bound, (device) => used(device, proof.challenge));
    if (after === undefined) {
      visit.report("refused", "used-challenge");
      return this.#challenge(ctx, visit, bound);
    }
    const { clock, cookie } = this.#settings;
    visit.report("refreshed");
    cookie.issue(ctx, publicId, after, clock());
    this.#instruct(ctx, publicId, after);
  }

  /** Ends a session in the browser that doesn't exist any more, or is no longer bound to that key. */
  async #end(ctx: ExtendableContext, visit: Visit, identifier: string): Promise<void> {
    if (visit.session.isNew) {
      // Behind a renewal, which the browser has not heard of yet, the session goes on.
      const { closeCode } = { closeCode: 0, ...(await this.#settings.sessions.receive(ctx, "")) };
      if (closeCode === 4403) {
        throw refusal("ERR_BOUND_RENEWED", 503, "this session has a new id: ask again with that");
      }
    }
    sendEnd(ctx, identifier);
  }

  async #challenge(ctx: ExtendableContext, visit: Visit, bound: BoundNow): Promise<void> {
    const after = await change(visit, bound, challenged);
    const { publicId = "" } = visit.session;
    if (after === undefined) return sendEnd(ctx, identifierOf(publicId, bound.thumbprint));
    sendChallenge(ctx, newestOf(after), identifierOf(publicId, bound.thumbprint));
    ctx.set("Cache-Control", "no-store");
    ctx.status = 403;
  }

  #instruct(ctx: ExtendableContext, publicId: string, device: Device): void {
    const { path, exclude, cookie } = this.#settings;
    const identifier = identifierOf(publicId, thumbprintOf(device.key));
    // With the next challenge at hand the browser needs one request to refresh.
    sendChallenge(ctx, newestOf(device), identifier);
    sendInstructions(ctx, { identifier, refreshPath: `${path}/refresh`, exclude, cookie });
  }

  async #extend(ctx: ExtendableContext, visit: Visit): Promise<void> {
    visit.check("refuse");
    const { listeners, clock } = this.#settings;
    const { bound, until, session } = visit;
    const { publicId } = session;
    const proof = ctx.get(LISTENER_HEADER);
    // A request that was let pass without a cookie extends nothing.
    const isProven = bound.status === "bound" && until !== undefined && publicId !== undefined;
    const became =
      isProven && listeners
        ? await listeners.extend(proof, bondOf(publicId, bound), until)
        : "unknown";
    if (became === "unreachable") {
      throw refusal("ERR_BOUND_LISTENER", 503, "the process of this connection can't be reached");
    }
    if (became === "unknown" || until === undefined) {
      visit.report("refused", "unknown-listener");
      throw refusal("ERR_BOUND_LISTENER", 403, "there is no such connection of this session");
    }
    ctx.set("Cache-Control", "no-store");
    ctx.body = { in: Math.max(until - clock(), 0) };
  }
}

/** Uses up an offer if this challenge is open. Of two registrations at once, one receives it. */
async function takeOffer(visit: Visit, challenge: string, now: number): Promise<Offer | undefined> {
  let taken: Offer | undefined;
  await entriesOf(visit.session).update("offer", (value) => {
    const offer = readOffer(value);
    taken = offer?.challenge === challenge && now < offer.until ? offer : undefined;
    return taken ? undefined : value;
  });
  return taken;
}

/**
 * Changes the device that the request has found, by compare-and-set.
 *
 * @returns `undefined` if the session has another device by now, or if no change is needed.
 */
async function change(
  visit: Visit,
  { thumbprint }: BoundNow,
  make: (device: Device) => Device | undefined,
): Promise<Device | undefined> {
  let made: Device | undefined;
  await entriesOf(visit.session).update("device", (value) => {
    const now = readBound(value);
    const isSame = now.status === "bound" && now.thumbprint === thumbprint;
    made = isSame ? make(now.device) : undefined;
    return made ?? value;
  });
  return made;
}

const badRefresh = (status: number, message: string) =>
  refusal("ERR_BOUND_REFRESH", status, message);
