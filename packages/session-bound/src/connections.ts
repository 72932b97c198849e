import { connectionSignal, headLeft } from "@lanai/connection";
import type { ExtendableContext } from "koa";
import { Lease } from "./lease.ts";

/** The code with which a WebSocket is closed that may come back: it then proves its device anew. */
const CLOSE_CODE = 4403;
/** The time after which an event stream comes back, in milliseconds: not all come at once. */
const RETRY = [1_000, 5_000] as const;

/** The part used here of the socket that `ctx.upgrade()` of `@lanai/websocket` resolves to. */
interface ClosableSocket {
  close(code: number, reason: string): void;
}

/** The part used here of the stream that `ctx.sse()` of `@lanai/sse` resolves to. */
interface EndableStream {
  end(options: { readonly retry: number }): void;
}

export interface ConnectionTerms {
  /** The instant at which the live connection ends, by `clock`. */
  readonly until: number;
  readonly clock: () => number;
  /** Called when the connection was ended. */
  readonly ended: () => void;
}

type Method = (...args: unknown[]) => Promise<unknown>;

/**
 * Ends the connection of a request in time, if the request makes it a live one: a WebSocket, an event
 * stream, or any other response that is still open when the request's middlewares are done.
 */
export class LiveConnection {
  readonly #ctx: ExtendableContext;
  readonly #terms: ConnectionTerms;
  #lease: Lease | undefined;

  constructor(ctx: ExtendableContext, terms: ConnectionTerms) {
    this.#ctx = ctx;
    this.#terms = terms;
    this.#observe("upgrade", (made) => (made as ClosableSocket).close(CLOSE_CODE, "bound"));
    this.#observe("sse", (made) => {
      const [least, most] = RETRY;
      const retry = least + Math.round(Math.random() * (most - least));
      (made as EndableStream).end({ retry });
    });
  }

  /** The lease of the connection; `undefined` if it isn't a live one. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  /** Recognises a stream of the app's own when the request's middlewares are done. */
  settle(): void {
    const { res, respond, response } = this.#ctx as ExtendableContext & { respond?: boolean };
    if (this.#lease || res.writableFinished) return;
    const isStream = response.is("text/event-stream") || respond === false || headLeft(this.#ctx);
    if (isStream) this.#lend(() => res.destroy());
  }

  #lend(end: () => void): void {
    const { until, clock, ended } = this.#terms;
    this.#lease ??= new Lease(until, clock, connectionSignal(this.#ctx), () => {
      end();
      ended();
    });
  }

  /** Observes the results of a method of the context, even if that method is put there later. */
  #observe(name: "upgrade" | "sse", end: (made: unknown) => void): void {
    const ctx = this.#ctx as unknown as Record<string, Method | undefined>;
    let { [name]: method } = ctx;
    const observed: Method = async (...args) => {
      const made = await method?.apply(ctx, args);
      this.#lend(() => end(made));
      return made;
    };
    Object.defineProperty(ctx, name, {
      configurable: true,
      enumerable: true,
      get: () => method && observed,
      set(other: Method | undefined) {
        method = other;
      },
    });
  }
}
