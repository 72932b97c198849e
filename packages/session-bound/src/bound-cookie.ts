import { createHmac, type KeyObject, timingSafeEqual } from "node:crypto";
import type { ExtendableContext } from "koa";
import { type Bound, type Device, OFFER_LIFETIME, type Offer } from "./binding.ts";
import { thumbprintOf } from "./device-key.ts";

/**
 * Milliseconds by which the browser forgets the cookie before the server stops accepting it, so that no
 * cookie arrives too late.
 */
const MARGIN = 5_000;
const VALUE = /^([0-9a-z]{1,11})\.([\w-]{43})$/;

/** The text under a MAC. Its kind comes first, so that a MAC of one kind is never valid as another. */
type Statement = readonly [kind: "device" | "offer" | "listener" | "extension", ...string[]];

/** Signs and verifies short statements about a session, with the app's keys or the session's own secret. */
export class Macs {
  readonly #keys: readonly KeyObject[] | undefined;

  /** @param keys - The first signs, all verify. */
  constructor(keys: readonly KeyObject[] | undefined) {
    this.#keys = keys;
  }

  /** @param secret - The session's secret, which is used if the app gave no keys. */
  sign(secret: string, statement: Statement): string {
    return mac(this.#keys?.[0] ?? secret, statement);
  }

  verify(secret: string, statement: Statement, signature: string): boolean {
    return (this.#keys ?? [secret]).some((key) => isEqual(mac(key, statement), signature));
  }
}

const mac = (key: KeyObject | string, statement: Statement): string =>
  createHmac("sha256", key)
    .update(JSON.stringify(["lanai.bound", ...statement]))
    .digest("base64url");

const isEqual = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));

export interface BoundCookieOptions {
  /** Cookie name, without its prefix. */
  readonly name: string;
  /** Milliseconds for which a cookie is accepted. */
  readonly lifetime: number;
  readonly macs: Macs;
}

/** A session, with the device or the offer that a cookie may prove. */
export interface Provable {
  /** The session's public id; `undefined` while the session isn't stored. */
  readonly publicId: string | undefined;
  readonly bound: Bound;
  readonly offer: Offer | undefined;
}

/**
 * The cookie that a browser receives for a proof: an expiry, and a MAC over the expiry, the session's
 * public id and the thumbprint of the device's key. Several cookies are valid at once, and none is stored.
 *
 * A response that offers a registration sends such a cookie too, which is accepted for a minute at most.
 * It lets requests pass that are under way while the browser registers.
 */
export class BoundCookie {
  readonly name: string;
  readonly attributes = "Path=/; Secure; HttpOnly; SameSite=Lax";
  readonly #lifetime: number;
  readonly #macs: Macs;

  constructor({ name, lifetime, macs }: BoundCookieOptions) {
    this.name = `__Host-${name}`;
    this.#lifetime = lifetime;
    this.#macs = macs;
  }

  /** Sends the browser the cookie of a bound session. */
  issue(ctx: ExtendableContext, publicId: string, device: Device, now: number): void {
    const thumbprint = thumbprintOf(device.key);
    this.#send(ctx, this.#lifetime, now, (until) =>
      this.#macs.sign(device.secret, ["device", publicId, thumbprint, until]),
    );
  }

  /** Sends the browser the cookie for the time until it has registered. */
  bridge(ctx: ExtendableContext, { secret, challenge }: Offer, now: number): void {
    this.#send(ctx, Math.min(this.#lifetime, OFFER_LIFETIME), now, (until) =>
      this.#macs.sign(secret, ["offer", challenge, until]),
    );
  }

  clear(ctx: ExtendableContext): void {
    this.#write(ctx, `${this.name}=; Max-Age=0; ${this.attributes}`);
  }

  /**
   * Returns the instant until which the request's cookie is accepted, in milliseconds since the epoch, or
   * `undefined` if the cookie proves nothing about this device and this offer.
   */
  provenUntil(
    ctx: ExtendableContext,
    { publicId, bound, offer }: Provable,
    now: number,
  ): number | undefined {
    const value = ctx.cookies.get(this.name, { signed: false }) ?? "";
    const [, text, signature] = VALUE.exec(value) ?? [];
    if (text === undefined || signature === undefined) return undefined;
    const until = Number.parseInt(text, 36);
    if (now >= until) return undefined;
    const is = (secret: string, statement: Statement) =>
      this.#macs.verify(secret, statement, signature);
    if (bound.status === "bound") {
      const { device, thumbprint } = bound;
      const { secret, via } = device;
      if (publicId !== undefined && is(secret, ["device", publicId, thumbprint, text]))
        return until;
      if (is(secret, ["offer", via, text])) return until;
    }
    return offer && is(offer.secret, ["offer", offer.challenge, text]) ? until : undefined;
  }

  #send(
    ctx: ExtendableContext,
    lifetime: number,
    now: number,
    sign: (until: string) => string,
  ): void {
    const until = (now + lifetime).toString(36);
    const seconds = Math.max(Math.floor((lifetime - Math.min(MARGIN, lifetime / 10)) / 1000), 1);
    const value = `${until}.${sign(until)}`;
    this.#write(ctx, `${this.name}=${value}; Max-Age=${seconds}; ${this.attributes}`);
  }

  /** Writes the only `Set-Cookie` line of this name. */
  #write(ctx: ExtendableContext, line: string): void {
    const lines = [ctx.res.getHeader("Set-Cookie") ?? []].flat().map(String);
    const others = lines.filter((it) => !it.startsWith(`${this.name}=`));
    ctx.res.setHeader("Set-Cookie", [...others, line]);
    ctx.res.setHeader("Cache-Control", "no-store");
  }
}
