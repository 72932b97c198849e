import { headerTracker, type Tracker } from "@lanai/session";

/** Options of `bearerTracker`. */
export interface BearerTrackerOptions {
  /** The response header in which a fresh token comes. Default: `Session-ID`. */
  readonly name?: string;
}

/**
 * Reads `Authorization: Bearer …` (RFC 6750, 2.1), and sends fresh tokens in a header of their own:
 * `Authorization` is not for responses. If the header is empty, the client must forget its token.
 *
 * Another scheme brings nothing. Two headers are refused as `ambiguous`, what can't be a token, or
 * has more than 4,096 characters, as `malformed`.
 *
 * @throws TypeError for an option that doesn't exist, or a name that can't be that of a header.
 */
export function bearerTracker(options: BearerTrackerOptions = {}): Tracker {
  const answer = headerTracker(options);
  return {
    vary: "Authorization",
    challenge: "Bearer",

    get(ctx, text) {
      if (text !== undefined) return answer.get(ctx, text);
      const { authorization } = ctx.req.headers;
      if (authorization === undefined || !/^bearer( |$)/i.test(authorization)) return [];
      // Node keeps the first of several, and drops the others.
      if ((ctx.req.headersDistinct.authorization?.length ?? 0) > 1)
        return [{ refused: "ambiguous" }];
      const token = authorization.slice("bearer".length).trim();
      if (token.length > 4096 || !/^[\w\-.~+/]+=*$/.test(token)) return [{ refused: "malformed" }];
      return [{ id: token }];
    },

    set: (ctx, id, record, maxAge) => answer.set(ctx, id, record, maxAge),
    clear: (ctx) => answer.clear(ctx),
    present: (id) => ({ authorization: `Bearer ${id}` }),
  };
}
