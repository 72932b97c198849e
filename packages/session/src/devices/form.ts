import type { ExtendableContext } from "koa";

/** The most bytes of a form: a label of 64 characters, each percent-encoded, and its name. */
const MOST_BYTES = 4_096;

/**
 * Returns the fields of a request's form, which a body parser may have read already (`ctx.request.body`).
 * A request without a form has no fields.
 *
 * @throws a 413 for a form that is too large.
 */
export async function formOf(ctx: ExtendableContext): Promise<URLSearchParams> {
  const { body: parsed } = ctx.request as { body?: unknown };
  if (typeof parsed === "object" && parsed !== null) {
    return new URLSearchParams(Object.entries(parsed).filter(isField));
  }
  if (!ctx.is("application/x-www-form-urlencoded") || ctx.req.readableEnded)
    return new URLSearchParams();
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of ctx.req as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > MOST_BYTES) {
      // The rest is not read, so the connection can't take another request (RFC 9110, 15.5.14).
      ctx.res.shouldKeepAlive = false;
      ctx.throw(413, "This form is too large.");
    }
    parts.push(part);
  }
  return new URLSearchParams(Buffer.concat(parts).toString());
}

const isField = (entry: [string, unknown]): entry is [string, string] =>
  typeof entry[1] === "string" && entry[1].length <= MOST_BYTES;
