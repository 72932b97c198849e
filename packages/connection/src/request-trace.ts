import { type IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** The part of a Koa context that is needed to make another one like it. */
interface TracedContext {
  readonly app: object;
  readonly originalUrl: string;
  readonly req: IncomingMessage;
}

const traces = new WeakMap<IncomingMessage, object>();

/** The part of a Koa app that makes contexts. */
interface App<Context> {
  createContext(request: IncomingMessage, response: ServerResponse): Context;
}

/**
 * The memory of a request whose connection outlives it: its method, URL and headers as one text, in
 * place of a context, a request and a response, which take several times as much.
 */
export class RequestTrace<Context extends TracedContext> {
  readonly #app: object;
  readonly #socket: Socket;
  readonly #text: string;

  /** Returns the trace of a request, the same for all that ask. */
  static of<Context extends TracedContext>(ctx: Context): RequestTrace<Context> {
    const known = traces.get(ctx.req) as RequestTrace<Context> | undefined;
    if (known) return known;
    const trace = new RequestTrace(ctx);
    traces.set(ctx.req, trace);
    return trace;
  }

  private constructor({ app, originalUrl, req }: Context) {
    this.#app = app;
    this.#socket = req.socket;
    this.#text = JSON.stringify([req.method, originalUrl, req.headers]);
  }

  /** Returns a context like that of the request, after whose head nothing more can be sent. */
  context(): Context {
    const [method, url, headers] = JSON.parse(this.#text) as [string, string, IncomingHttpHeaders];
    const request = Object.assign(new IncomingMessage(this.#socket), { method, url, headers });
    const response = new ServerResponse(request);
    Object.defineProperty(response, "headersSent", { value: true });
    return (this.#app as App<Context>).createContext(request, response);
  }
}
