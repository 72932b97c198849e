import { createHash, randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { RateMeter, type RateOptions } from "@lanai/connection/rate";
import type { ExtendableContext } from "koa";

/** A connection whose page posts what it says: an event stream goes one way only. */
export interface Posting {
  /** The public id of its browser, from the client cookie. */
  readonly client: string | undefined;
  readonly session: string | undefined;
  /** @returns Whether it was a frame, and not too much. */
  receive(text: string): boolean;
  /** The page has sent more than the rate limit allows, whose policy is `close`. */
  exceed(): void;
}

interface AcceptedPosting {
  readonly posting: Posting;
  /** The number of the last post that was taken. */
  taken: number;
  readonly meter: RateMeter;
  /** No post is taken before: an instant of `performance.now`. */
  pausedUntil: number;
}

/** The header `Lanai-Line`: the process, and a secret that only the page knows. */
const CREDENTIAL = /^([\w-]{1,32})\.([\w-]{43})$/;
/** The most frames in one post, and its largest body, in bytes. */
const MOST_FRAMES = 1_000;
const MOST_BYTES = 262_144;

/** The posts to the event streams of this process. */
export class Posts {
  readonly #node: string;
  readonly #rate: Required<RateOptions>;
  readonly #held = new Map<string, AcceptedPosting>();

  constructor(node: string, rate: Required<RateOptions>) {
    this.#node = node;
    this.#rate = rate;
  }

  /** Takes posts for a connection from now on. Returns what its page has to present. */
  add(posting: Posting): { readonly credential: string; readonly end: () => void } {
    const secret = randomBytes(32).toString("base64url");
    const name = nameOf(secret);
    this.#held.set(name, {
      ...{ posting, taken: 0 },
      ...{ meter: new RateMeter(this.#rate), pausedUntil: 0 },
    });
    return { credential: `${this.#node}.${secret}`, end: () => this.#held.delete(name) };
  }

  /** Takes what a page has posted, wherever that was. Returns the status of the response. */
  take(note: Readonly<Record<string, unknown>>): number {
    const { name, seq, frames, client, session } = note;
    const held = this.#held.get(String(name));
    if (held === undefined) return 410;
    const { posting } = held;
    // Whoever has got hold of the secret alone is somebody else.
    const isOther = (known: unknown, given: unknown): boolean =>
      given !== undefined && given !== known;
    if (isOther(posting.client, client) || isOther(posting.session, session)) return 403;
    if (typeof seq !== "number" || !Array.isArray(frames)) return 400;
    // A page that got no response posts the same again.
    if (seq <= held.taken) return 204;
    if (seq !== held.taken + 1) return 409;
    // The page posts the same again, which is all the back-pressure that posts have.
    if (performance.now() < held.pausedUntil) return 503;
    held.taken = seq;
    if (this.#exceeds(held, frames)) {
      posting.exceed();
      return 410;
    }
    return frames.every((it) => typeof it === "string" && posting.receive(it)) ? 204 : 400;
  }

  /** Counts what was posted. Returns whether the connection has to end; else the page is paused. */
  #exceeds(held: AcceptedPosting, frames: readonly unknown[]): boolean {
    let wait = 0;
    for (const it of frames) wait = held.meter.take(Buffer.byteLength(String(it)));
    if (wait > 0) held.pausedUntil = performance.now() + wait;
    return wait > 0 && this.#rate.overflow === "close";
  }
}

/** Returns a hash of the secret, so that the secret itself isn't sent over the bus. */
const nameOf = (secret: string): string =>
  createHash("sha256").update(secret).digest("base64url").slice(0, 22);

/** A posted frame: the process that it is for, and what {@link Posts.take} needs. */
export interface Post {
  readonly node: string;
  readonly note: Readonly<Record<string, unknown>>;
}

/** Reads a post. A number is the status of the refusal. */
export async function readPost(
  ctx: ExtendableContext,
  whose: { readonly client: string | undefined; readonly session: string | undefined },
): Promise<Post | number> {
  const [, node, secret] = CREDENTIAL.exec(ctx.get("Lanai-Line")) ?? [];
  const seq = Number(ctx.get("Lanai-Seq"));
  if (node === undefined || secret === undefined || !Number.isSafeInteger(seq)) return 400;
  const body = await bodyOf(ctx);
  if (body === undefined) return 413;
  const frames = body.split("\n").filter((it) => it !== "");
  if (frames.length > MOST_FRAMES) return 413;
  return { node, note: { name: nameOf(secret), seq, frames, ...whose } };
}

async function bodyOf(ctx: ExtendableContext): Promise<string | undefined> {
  // A body parser of the app may have read it.
  const { body } = ctx.request as unknown as { body?: unknown };
  if (typeof body === "string") return body.length <= MOST_BYTES ? body : undefined;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of ctx.req as AsyncIterable<Buffer> & IncomingMessage) {
    size += chunk.length;
    if (size > MOST_BYTES) {
      // The rest is not read, so the connection can't take another request (RFC 9110, 15.5.14).
      ctx.res.shouldKeepAlive = false;
      return undefined;
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
