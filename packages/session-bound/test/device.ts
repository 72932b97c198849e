import type { webcrypto } from "node:crypto";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { WebSocket } from "ws";

export type Algorithm = "ES256" | "RS256";

/** What makes a proof another than the one that Chromium would send. */
export interface Odd {
  readonly header?: Record<string, unknown>;
  readonly payload?: Record<string, unknown>;
  /** Where the key is. Default: in the header, as Chromium has it. */
  readonly keyIn?: "header" | "payload" | "both" | "neither";
  /** As a string of a structured field. Default: bare. */
  readonly quoted?: boolean;
}

interface Instructions {
  readonly session_identifier: string;
  readonly refresh_url: string;
  readonly continue?: boolean;
}

/** Where a site is, and how it is asked. */
interface Address {
  readonly url: string;
  /** Default: `fetch`. */
  readonly send?: typeof fetch;
}

/** A browser with device-bound sessions whose JWS are made by jose: its cookies and its key. */
export class Device {
  readonly cookies: Map<string, string>;
  readonly publicKey: JWK;
  /** Of the last response that had one. */
  challenge: string | undefined;
  offer: string | undefined;
  instructions: Instructions | undefined;
  readonly #url: string;
  readonly #send: typeof fetch;
  readonly #privateKey: webcrypto.CryptoKey;
  readonly #algorithm: Algorithm;

  private constructor(
    { url, send = fetch }: Address,
    keys: { publicKey: JWK; privateKey: webcrypto.CryptoKey },
    algorithm: Algorithm,
    cookies: ReadonlyMap<string, string> = new Map(),
  ) {
    this.#url = url;
    this.#send = send;
    this.publicKey = keys.publicKey;
    this.#privateKey = keys.privateKey;
    this.#algorithm = algorithm;
    this.cookies = new Map(cookies);
  }

  static async at(address: Address, algorithm: Algorithm = "ES256"): Promise<Device> {
    const { publicKey, privateKey } = await generateKeyPair(algorithm);
    return new Device(address, { publicKey: await exportJWK(publicKey), privateKey }, algorithm);
  }

  /** Another machine with a copy of the cookie jar as it is now, and no key that counts. */
  async thief(): Promise<Device> {
    const other = await Device.at({ url: this.#url });
    for (const [name, value] of this.cookies) other.cookies.set(name, value);
    return other;
  }

  /** The same browser at another process of the same app. */
  moveTo(address: Address): Device {
    const keys = { publicKey: this.publicKey, privateKey: this.#privateKey };
    const moved = new Device(address, keys, this.#algorithm, this.cookies);
    Object.assign(moved, {
      challenge: this.challenge,
      offer: this.offer,
      instructions: this.instructions,
    });
    return moved;
  }

  get cookie(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { cookie: this.cookie, ...init.headers } as Record<string, string>;
    const response = await this.#send(this.#url + path, { redirect: "manual", ...init, headers });
    for (const line of response.headers.getSetCookie()) {
      const [pair = ""] = line.split("; ");
      const at = pair.indexOf("=");
      if (line.includes("Max-Age=0")) this.cookies.delete(pair.slice(0, at));
      else this.cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
    const offer = response.headers.get("Secure-Session-Registration");
    if (offer) this.offer = /challenge="([^"]+)"/.exec(offer)?.[1];
    const challenge = response.headers.get("Secure-Session-Challenge");
    if (challenge) this.challenge = /^"([^"]+)"/.exec(challenge)?.[1];
    return response;
  }

  async status(path: string, init?: RequestInit): Promise<number> {
    const response = await this.fetch(path, init);
    await response.text();
    return response.status;
  }

  post(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return this.fetch(path, { method: "POST", headers });
  }

  /** A JWS for a challenge, made by jose. */
  async prove(challenge: string, { header, payload, keyIn, quoted }: Odd = {}): Promise<string> {
    const inHeader = keyIn === "header" || keyIn === "both";
    const inPayload = keyIn === "payload" || keyIn === "both";
    const jws = await new SignJWT({
      jti: challenge,
      ...(inPayload && { key: this.publicKey }),
      ...payload,
    })
      .setProtectedHeader({
        typ: "dbsc+jwt",
        alg: this.#algorithm,
        ...(inHeader && { jwk: this.publicKey }),
        ...header,
      })
      .sign(this.#privateKey);
    return quoted ? `"${jws}"` : jws;
  }

  async register(odd: Odd = {}): Promise<Response> {
    const proof = await this.prove(this.offer ?? "", { keyIn: "header", ...odd });
    return this.#keep(
      await this.post("/device-bound/register", { "Secure-Session-Response": proof }),
    );
  }

  /** A refresh with the challenge at hand; without one it asks for one. */
  async refresh(odd: Odd = {}): Promise<Response> {
    const id = this.instructions?.session_identifier ?? "none";
    const { challenge } = this;
    const proof = challenge && (await this.prove(challenge, odd));
    return this.#keep(
      await this.post("/device-bound/refresh", {
        "Sec-Secure-Session-Id": id,
        ...(proof && { "Secure-Session-Response": proof }),
      }),
    );
  }

  async #keep(response: Response): Promise<Response> {
    if (response.status === 200)
      this.instructions = (await response.clone().json()) as Instructions;
    return response;
  }

  /** Signs in and registers. */
  async bind(user = "ada"): Promise<this> {
    await this.fetch(`/sign-in?user=${user}`);
    const response = await this.register();
    if (response.status !== 200)
      throw new Error(`the registration was refused: ${response.status}`);
    return this;
  }

  open(path: string, more: Readonly<Record<string, string>> = {}): WebSocket {
    const headers = { cookie: this.cookie, ...more };
    return new WebSocket(this.#url.replace("http", "ws") + path, { headers });
  }
}
