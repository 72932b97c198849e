import type { Context } from "koa";

const MAX_BYTES = 65_536;

export interface GraphqlRequest {
  readonly query?: string;
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** A request's JSON: 415 for another body, 413 for more than 65,536 bytes, 400 for none. */
export async function readJson(ctx: Context): Promise<GraphqlRequest> {
  // Also against other sites: no form can post it, and no script without being asked first.
  if (!ctx.is("application/json")) ctx.throw(415, "this address takes JSON");
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of ctx.req as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) {
      // The rest is not read, so the connection can't take another request (RFC 9110, 15.5.14).
      ctx.res.shouldKeepAlive = false;
      ctx.throw(413, "the query is too long");
    }
    chunks.push(chunk);
  }
  try {
    const { query, variables } = JSON.parse(Buffer.concat(chunks).toString());
    return { query: String(query ?? ""), variables: variables ?? {} };
  } catch {
    return ctx.throw(400, "the body is no JSON");
  }
}
