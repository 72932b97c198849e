import { createHash, createHmac, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto";
import { keepHeaders } from "@lanai/connection";
import type { ExtendableContext } from "koa";

export interface ClientCookieOptions {
  readonly name: string;
  readonly maxAge: number;
  readonly secure: boolean;
  readonly keys: readonly KeyObject[] | undefined;
}

/** What a request's cookie says: which client this is. */
export interface KnownClient {
  readonly id: string;
  /** Sends the cookie again, where another than the first key has signed it. */
  readonly again?: () => Promise<void>;
}

/** 256 bits in base64url, and what signs them. */
const VALUE = /^([A-Za-z0-9_-]{43})(?:\.([A-Za-z0-9_-]{43}))?$/;

/** A client's public id: nobody who knows it can make the cookie. */
const publicId = (secret: string): string =>
  createHash("sha256").update(`cid${secret}`).digest("base64url").slice(0, 22);

/**
 * The cookie that names a browser: a secret that scripts can't read, of which only a hash is ever
 * shown. A secure request reads and writes only the name with `__Host-`, any other only the plain
 * one (RFC 6265bis, 4.1.3): no sibling host can plant it.
 */
export class ClientCookie {
  readonly #options: ClientCookieOptions;

  constructor(options: ClientCookieOptions) {
    this.#options = options;
  }

  read(ctx: ExtendableContext): KnownClient | undefined {
    const { keys } = this.#options;
    const name = this.#nameFor(ctx);
    const value = ctx.cookies.get(name, { signed: false }) ?? "";
    const [, secret, signature] = VALUE.exec(value) ?? [];
    if (secret === undefined) return undefined;
    const id = publicId(secret);
    if (keys === undefined) return signature === undefined ? { id } : undefined;
    if (signature === undefined) return undefined;
    const signer = keys.findIndex((key) => isEqual(sign(key, name, secret), signature));
    if (signer < 0) return undefined;
    return signer === 0 ? { id } : { id, again: () => this.#send(ctx, secret) };
  }

  /** Gives the browser a name; its answer is the public id. */
  async issue(ctx: ExtendableContext): Promise<string> {
    const secret = randomBytes(32).toString("base64url");
    await this.#send(ctx, secret);
    return publicId(secret);
  }

  async #send(ctx: ExtendableContext, secret: string): Promise<void> {
    const { keys, maxAge } = this.#options;
    const name = this.#nameFor(ctx);
    const signature = keys?.[0] && `.${sign(keys[0], name, secret)}`;
    const line = [
      `${name}=${secret}${signature ?? ""}`,
      "Path=/",
      `Max-Age=${Math.floor(maxAge / 1000)}`,
      "HttpOnly",
      ...(this.#isSecure(ctx) ? ["Secure"] : []),
      "SameSite=Lax",
    ].join("; ");
    await keepHeaders(ctx, () => {
      ctx.res.appendHeader("Set-Cookie", line);
      // Whoever is given a cached answer would be taken for this browser.
      if (!ctx.res.hasHeader("Cache-Control")) ctx.res.setHeader("Cache-Control", "no-store");
    });
  }

  #isSecure(ctx: ExtendableContext): boolean {
    return this.#options.secure || ctx.secure;
  }

  #nameFor(ctx: ExtendableContext): string {
    const { name } = this.#options;
    return this.#isSecure(ctx) ? `__Host-${name}` : name;
  }
}

const sign = (key: KeyObject, name: string, secret: string): string =>
  createHmac("sha256", key).update(`${name}=${secret}`).digest("base64url");

const isEqual = (a: string, b: string): boolean => timingSafeEqual(Buffer.from(a), Buffer.from(b));
