import { createHash, createHmac, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto";
import { forbidSharedCaching, keepHeaders } from "@lanai/connection";
import { flat } from "@lanai/connection/flat";
import type { ExtendableContext } from "koa";
import { events } from "../events.ts";

export interface ClientCookieOptions {
  readonly name: string;
  readonly maxAge: number;
  readonly secure: boolean;
  readonly sameSite: "lax" | "strict" | "none";
  readonly partitioned: boolean;
  readonly keys: readonly KeyObject[] | undefined;
}

/** The client that a request's cookie names. */
export interface KnownClient {
  readonly id: string;
  /** Sends the cookie again, if it was signed with another key than the first. */
  readonly again?: () => Promise<void>;
}

/** The value of a cookie: 256 bits in base64url, and their signature. */
const VALUE = /^([A-Za-z0-9_-]{43})(?:\.([A-Za-z0-9_-]{43}))?$/;

/** Returns a client's public id, from which nobody can make the cookie. */
const publicId = (secret: string): string =>
  flat(createHash("sha256").update(`cid${secret}`).digest("base64url").slice(0, 22));

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

  /**
   * Returns the first valid cookie of the name: a page of this site may have planted others. All are
   * read, because a server bounds a header's length, and a cookie without our form costs no signature.
   */
  read(ctx: ExtendableContext): KnownClient | undefined {
    const name = this.#nameFor(ctx);
    for (const value of valuesOf(ctx.req.headers.cookie ?? "", name)) {
      const known = this.#verify(ctx, name, value);
      if (known) return known;
    }
    return undefined;
  }

  #verify(ctx: ExtendableContext, name: string, value: string): KnownClient | undefined {
    const { keys } = this.#options;
    const [, secret, signature] = VALUE.exec(value) ?? [];
    if (secret === undefined) return undefined;
    const id = publicId(secret);
    if (keys === undefined) return signature === undefined ? { id } : undefined;
    if (signature === undefined) return undefined;
    const signer = keys.findIndex((key) => isEqual(sign(key, name, secret), signature));
    if (signer < 0) return undefined;
    return signer === 0 ? { id } : { id, again: () => this.#send(ctx, secret) };
  }

  /** Sends a new cookie, and returns its public id. */
  async issue(ctx: ExtendableContext): Promise<string> {
    const secret = randomBytes(32).toString("base64url");
    await this.#send(ctx, secret);
    return publicId(secret);
  }

  async #send(ctx: ExtendableContext, secret: string): Promise<void> {
    const { keys, maxAge, sameSite, partitioned } = this.#options;
    const name = this.#nameFor(ctx);
    const signature = keys?.[0] && `.${sign(keys[0], name, secret)}`;
    const line = [
      `${name}=${secret}${signature ?? ""}`,
      "Path=/",
      `Max-Age=${Math.floor(maxAge / 1000)}`,
      "HttpOnly",
      ...(this.#isSecure(ctx) ? ["Secure"] : []),
      `SameSite=${sameSite === "lax" ? "Lax" : sameSite === "none" ? "None" : "Strict"}`,
      ...(partitioned ? ["Partitioned"] : []),
    ].join("; ");
    await keepHeaders(ctx, () => {
      ctx.res.appendHeader("Set-Cookie", line);
      // Whoever is given a cached answer would be taken for this browser.
      if (!ctx.res.hasHeader("Cache-Control")) ctx.res.setHeader("Cache-Control", "no-store");
      forbidSharedCaching(ctx, (replaced) =>
        events.report("cacheable", replaced, { level: "warn", reason: replaced }),
      );
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

/** Returns the values of all cookies of a name, in their order, without quotes (RFC 6265, 4.1.1). */
function valuesOf(header: string, name: string): string[] {
  const lead = `${name}=`;
  return header
    .split(";")
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(lead))
    .map((pair) => pair.slice(lead.length).replace(/^"(.*)"$/, "$1"));
}

const sign = (key: KeyObject, name: string, secret: string): string =>
  createHmac("sha256", key).update(`${name}=${secret}`).digest("base64url");

const isEqual = (a: string, b: string): boolean => timingSafeEqual(Buffer.from(a), Buffer.from(b));
