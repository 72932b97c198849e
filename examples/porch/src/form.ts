import type { Context } from "koa";

const MAX_BYTES = 8_192;

/** The fields of a posted HTML form; 415 for another body, 413 for more than 8,192 bytes. */
export async function readForm(ctx: Context): Promise<URLSearchParams> {
  if (!ctx.is("application/x-www-form-urlencoded")) ctx.throw(415, "this page takes HTML forms");
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of ctx.req as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) {
      // The rest is not read, so the connection can't take another request (RFC 9110, 15.5.14).
      ctx.set("Connection", "close");
      ctx.throw(413, "the form is too long");
    }
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString());
}

/** After a POST: the browser gets the next page, and a reload posts nothing again (RFC 9110, 15.4.4). */
export function seeOther(ctx: Context, path: string): void {
  ctx.status = 303;
  ctx.redirect(path);
}
