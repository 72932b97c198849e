import type { ExtendableContext, Next } from "koa";
import { PubSubError } from "./errors.ts";
import { warn } from "./inbox.ts";
import { JsonMessaging, type Report } from "./json-messaging.ts";
import { knownOptions } from "./known-options.ts";
import { memoryPubSub } from "./memory-pubsub.ts";
import type { Messaging, Meta } from "./messaging.ts";
import type { PubSub } from "./pubsub.ts";

export interface PubSubOptions {
  /** What messages go through. Default: {@link memoryPubSub}, inside this process. */
  readonly backend?: PubSub;
  /** The requests' part is `ctx[property]`. Default: `pubsub`. */
  readonly property?: string;
}

declare module "koa" {
  interface ExtendableContext {
    /** Pub/sub for this request, where `pubsub()` or `bus.middleware()` is mounted. */
    pubsub: Messaging;
  }
}

export type PubSubMiddleware = (ctx: ExtendableContext, next: Next) => Promise<unknown>;

/** Told of a failure of a subscription that has no `onError` of its own. */
export type ErrorListener = (error: PubSubError, meta?: Meta) => void;

/** The pub/sub of an app: made once, used anywhere. What it subscribes lives until `close`. */
export interface Bus extends Messaging {
  /** For the whole app, a group of routes or one route: puts `ctx.pubsub` there. */
  middleware(): PubSubMiddleware;
  /**
   * The bus's `error` event: failures of subscriptions without an `onError`. As long as nobody
   * listens, each is a warning of the process.
   *
   * @returns A function that stops it.
   */
  onError(listener: ErrorListener): () => void;
  /** Ends every subscription and closes the backend. */
  close(): Promise<void>;
}

/**
 * Makes the pub/sub of an app.
 *
 * @throws TypeError for an option that doesn't exist or can't be.
 */
export function createPubSub(options: PubSubOptions = {}): Bus {
  validate(options);
  const { backend = memoryPubSub(), property = "pubsub" } = options;
  const listeners = new Set<ErrorListener>();
  const report: Report = (error, meta) => {
    if (listeners.size === 0) return warn(meta?.subject, error);
    for (const listener of listeners) {
      try {
        listener(error, meta);
      } catch (failure) {
        warn(meta?.subject, failure);
      }
    }
  };
  const face = new JsonMessaging(backend, report);

  return Object.assign(face, {
    middleware: (): PubSubMiddleware => async (ctx, next) => {
      const held = ctx as unknown as Record<string, unknown>;
      const there = held[property];
      if (there === undefined) held[property] = new JsonMessaging(backend, report, ctx);
      else if (!(there instanceof JsonMessaging) || there.backend !== backend)
        throw taken(property);
      return next();
    },
    onError(listener: ErrorListener): () => void {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    close: () => backend.close(),
  });
}

/** `createPubSub(options).middleware()`: pub/sub in one line. */
export const pubsub = (options?: PubSubOptions): PubSubMiddleware =>
  createPubSub(options).middleware();

const taken = (property: string): PubSubError =>
  new PubSubError(
    "ERR_PUBSUB_PROPERTY_TAKEN",
    `something else is at ctx.${property}: give createPubSub another property`,
  );

function validate(options: PubSubOptions): void {
  knownOptions("createPubSub", options, ["backend", "property"]);
  const { backend, property } = options;
  if (backend !== undefined) {
    const methods = ["publish", "subscribe", "close"] as const;
    if (!methods.every((it) => typeof backend?.[it] === "function")) {
      throw new TypeError(
        "createPubSub: backend must have publish, subscribe and close, such as memoryPubSub(), " +
          `got ${typeof backend}`,
      );
    }
  }
  if (property !== undefined && !/^[A-Za-z_$][\w$]*$/.test(property)) {
    throw new TypeError(`createPubSub: property must be a name such as "pubsub", got ${property}`);
  }
}
