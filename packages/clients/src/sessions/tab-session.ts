import { type IncomingMessage, ServerResponse } from "node:http";
import type { Session, Sessions } from "@lanai/session";
import { extend } from "@lanai/session/extension";
import type Koa from "koa";
import type { ExtendableContext } from "koa";

/** Returns a token as messages carry it: a header's value without its scheme. */
export function tokenIn(headers: Readonly<Record<string, string>> | undefined): string | undefined {
  const [value] = Object.entries(headers ?? {})
    .filter(([name]) => name.toLowerCase() !== "cookie")
    .map(([, it]) => it);
  return value?.replace(/^Bearer /i, "");
}

/**
 * Makes a session of a tab's own, and its token. The head of the tab's connection has left, so the
 * session is made in a request like that one, whose response nobody receives.
 */
export async function createTabSession(
  ctx: ExtendableContext,
  options: {
    readonly sessions: Sessions;
    readonly tokenHeader: string;
    /** Called with the context of that request before anything else. */
    readonly begin: (ctx: ExtendableContext) => unknown;
  },
): Promise<{ session: Session; token: string } | undefined> {
  const { sessions, tokenHeader, begin } = options;
  const headers = { ...ctx.req.headers };
  delete headers[tokenHeader.toLowerCase()];
  const req: IncomingMessage = Object.create(ctx.req, { headers: { value: headers } });
  const res = new ServerResponse(req);
  const inner = (ctx.app as Koa).createContext(req, res);
  begin(inner);
  let session: Session | undefined;
  await sessions.middleware()(inner, async () => {
    session = await sessions.from(inner).load();
    // An empty session is never stored.
    extend(session).namespace("clients").set("tab", true);
  });
  const token = res.getHeader(tokenHeader);
  return session && typeof token === "string" && token !== "" ? { session, token } : undefined;
}
