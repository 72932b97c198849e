import type { IncomingMessage } from "node:http";
import { mismatchAmong, originOf, shownHeader } from "@lanai/connection/origin";
import { events } from "./events.ts";

/** Koa's names of the scheme and host that a request was sent to. */
interface Address {
  readonly protocol: string;
  readonly host: string;
}

/**
 * Makes the check of a handshake's `Origin` (RFC 6455, 10.2), which reports a refusal with the setting
 * that may be wrong.
 *
 * @param origins - The accepted origins. Default: the one that the request was sent to.
 * @param addressOf - Koa's view of a request. Its `origin` isn't used: in Koa 3 that is the header.
 */
export function originCheck<Response>(
  origins: readonly string[] | "any" | undefined,
  addressOf: (request: IncomingMessage, response: Response) => Address,
): (request: IncomingMessage, response: Response) => boolean {
  return (request, response) => {
    const { origin } = request.headers;
    if (origin === undefined || origins === "any") return true;
    const { protocol, host } = addressOf(request, response);
    const own = originOf(protocol, host);
    const accepted = origins ?? (own === undefined ? [] : [own]);
    if (accepted.includes(origin)) return true;
    const { cause, hint } = mismatchAmong(origin, accepted);
    events.report("origin-refused", cause, {
      level: "warn",
      message: `A WebSocket of this origin was refused. ${hint}`,
      got: shownHeader(origin),
      expected: accepted,
    });
    return false;
  };
}
