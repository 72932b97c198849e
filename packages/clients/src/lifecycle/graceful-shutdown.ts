import type { Server, ServerResponse } from "node:http";
import { after } from "@lanai/connection/deadline";
import {
  checkOptions,
  duration,
  func,
  type Rules,
  required,
  value,
  withMethods,
} from "@lanai/connection/options";

/** A part with live connections: clients, channels, the upgrades of a server, the middleware `sse()`. */
export interface LivePart {
  /** Ends its live connections, so that browsers come back spread over `over` milliseconds, and resolves when all are gone. */
  close(options?: { readonly over?: number }): Promise<unknown>;
}

/** Options of `gracefulShutdown`. Only `server` is required. */
export interface GracefulShutdownOptions {
  /** The server, of `node:http` or `node:https`. */
  readonly server: Server;
  /**
   * The parts with live connections, in the order in which they are closed. The clients come first, as in
   * `[clients, channels, upgrades, streams]`: they spread the ends of their connections over `over`, and
   * the messages and calls that are under way still need the others. Default: none.
   */
  readonly live?: readonly LivePart[];
  /**
   * Functions that close the bus, the store, and the connections to their servers. They are called one
   * after the other when nothing runs any more. Default: none.
   */
  readonly resources?: readonly (() => unknown)[];
  /** The signals that begin it. Default: `SIGTERM` and `SIGINT`. */
  readonly signals?: readonly NodeJS.Signals[];
  /**
   * The time in which the process works as before while the health probe returns 503, so that every load
   * balancer notices. Milliseconds, from 0. Default: 5,000.
   */
  readonly delay?: number;
  /**
   * Browsers come back at random moments within this time. The first part gets all of it; each later one
   * gets less if the parts and requests after it would have too little of `timeout` left. Milliseconds,
   * from 0. Default: 5,000.
   */
  readonly over?: number;
  /**
   * The longest that the shutdown takes after `delay`; then connections are cut. With `delay` it must be
   * less than the platform's grace period (Kubernetes: 30 s). Milliseconds, from 1. Default: 20,000.
   */
  readonly timeout?: number;
  /** Ends the process. Default: `process.exit`. */
  readonly exit?: (code: number) => unknown;
}

/** A graceful shutdown that waits for its signal. */
export interface GracefulShutdown {
  /**
   * - `running`: as always.
   * - `leaving`: everything works, and the health probe returns 503.
   * - `closing`: no new connections; requests and live connections end.
   * - `closed`: everything has ended.
   */
  readonly state: "running" | "leaving" | "closing" | "closed";
  /**
   * Begins without a signal. Resolves to the exit code: 0 if all that was under way has ended by itself,
   * 1 if something had to be cut or failed.
   */
  begin(): Promise<number>;
}

const RULES: Rules<GracefulShutdownOptions> = {
  server: required(withMethods("a server of node:http or node:https", "close", "listen")),
  live: value(
    "an array of what has a method close",
    (it) => Array.isArray(it) && it.every((part) => typeof part?.close === "function"),
  ),
  resources: value(
    "an array of functions",
    (it) => Array.isArray(it) && it.every((close) => typeof close === "function"),
  ),
  signals: value("an array of signals", Array.isArray),
  delay: duration(0),
  over: duration(0),
  timeout: duration(1),
  exit: func,
};

/**
 * Ends the process at a signal without losing requests or messages (graceful shutdown), in this order:
 *
 * 1. The health probe returns 503, and everything works as before for `delay`, in which the load
 *    balancers take the process out. Responses close their connections, so that proxies reuse none.
 * 2. The server stops listening. Live connections end, spread over `over`: their browsers reconnect, to
 *    another process. Until then they work as before.
 * 3. Requests that are under way, and handlers of messages, run to their end.
 * 4. The resources are closed, and the process exits with code 0.
 *
 * Whatever isn't over after `timeout` is cut, and the exit code is 1. A second signal cuts at once.
 *
 * @throws TypeError or RangeError for an option that doesn't exist or can't be.
 */
export function gracefulShutdown(options: GracefulShutdownOptions): GracefulShutdown {
  checkOptions("gracefulShutdown", options, RULES);
  const { server, live = [], resources = [], signals = ["SIGTERM", "SIGINT"] } = options;
  const { delay = 5_000, over = 5_000, timeout = 20_000 } = options;
  const { exit = (code) => process.exit(code) } = options;
  let state: GracefulShutdown["state"] = "running";
  let begun: Promise<number> | undefined;
  const isCut = Promise.withResolvers<void>();
  const responses = new Set<ServerResponse>();

  /** Makes a response the last one of its connection. */
  const makeLast = (response: ServerResponse): void => {
    if (!response.headersSent) response.shouldKeepAlive = false;
    // One whose head has left leaves its connection idle.
    response.once("finish", () => setImmediate(() => server.closeIdleConnections()));
  };
  server.prependListener("request", (_request, response: ServerResponse) => {
    responses.add(response);
    response.once("close", () => responses.delete(response));
    if (state !== "running") makeLast(response);
  });

  const pause = (ms: number): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = after(ms, resolve);
    void isCut.promise.then(() => {
      cancel();
      resolve();
    });
    return promise;
  };

  /** Resolves to whether all of it succeeded: one that fails keeps no other from being closed. */
  const end = async (endsAt: number): Promise<boolean> => {
    let isWhole = true;
    const attempt = async (close: () => unknown) => {
      try {
        await close();
      } catch (error) {
        isWhole = false;
        process.emitWarning(error instanceof Error ? error : String(error));
      }
    };
    const isClosed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const [done, part] of live.entries()) {
      // What is left is shared by the parts that are left, and the requests and resources after them.
      const share = (endsAt - performance.now()) / (live.length - done + 1);
      const spread = done === 0 ? over : Math.min(over, Math.max(0, Math.floor(share)));
      await attempt(() => part.close({ over: spread }));
    }
    await isClosed;
    for (const close of resources) await attempt(close);
    return isWhole;
  };

  const run = async (): Promise<number> => {
    state = "leaving";
    for (const response of responses) makeLast(response);
    await pause(delay);
    state = "closing";
    const cancel = after(timeout, isCut.resolve);
    const isWhole = await Promise.race([
      end(performance.now() + timeout),
      isCut.promise.then(() => false),
    ]);
    cancel();
    server.closeAllConnections();
    state = "closed";
    return isWhole ? 0 : 1;
  };

  const begin = (): Promise<number> => {
    begun ??= run();
    return begun;
  };

  const onSignal = (): void => {
    if (begun !== undefined) isCut.resolve();
    else void begin().then(exit);
  };
  for (const signal of signals) process.on(signal, onSignal);

  return {
    get state() {
      return state;
    },
    begin,
  };
}
