import { checkOptions, property, type Rules, withMethods } from "@lanai/connection/options";
import type { ExtendableContext, Next } from "koa";
import { PubSubError } from "./errors.ts";
import { JsonMessaging, type Report } from "./json/json-messaging.ts";
import { memoryPubSub } from "./memory/memory-pubsub.ts";
import type { Messaging, Meta } from "./messaging.ts";
import type { PubSub } from "./pubsub.ts";
import { warn } from "./subscription/failure-reports.ts";

/** Options of `createPubSub` and `pubsub`. */
export interface PubSubOptions {
  /** The backend that carries the messages. Default: {@link memoryPubSub}, inside this process. */
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

/** Koa middleware that puts `ctx.pubsub`, or another property, on each context. */
export type PubSubMiddleware = (ctx: ExtendableContext, next: Next) => Promise<unknown>;

/** Called with each failure of a subscription that has no `onError` of its own. */
export type ErrorListener = (error: PubSubError, meta?: Meta) => void;

/** The pub/sub of an app: made once, used anywhere. What it subscribes lives until `close`. */
export interface Bus extends Messaging {
  /** Returns a middleware that puts `ctx.pubsub` there: for the whole app, a group of routes or one route. */
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
  checkOptions("createPubSub", options, OPTIONS);
  const { backend = memoryPubSub(), property: name = "pubsub" } = options;
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
  const messaging = new JsonMessaging(backend, report);

  return Object.assign(messaging, {
    middleware: (): PubSubMiddleware => async (ctx, next) => {
      const properties = ctx as unknown as Record<string, unknown>;
      const existing = properties[name];
      if (existing === undefined) properties[name] = new JsonMessaging(backend, report, ctx);
      else if (!(existing instanceof JsonMessaging) || existing.backend !== backend)
        throw propertyTaken(name);
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

const propertyTaken = (property: string): PubSubError =>
  new PubSubError(
    "ERR_PUBSUB_PROPERTY_TAKEN",
    `something else is at ctx.${property}: give createPubSub another property`,
  );

const OPTIONS: Rules<PubSubOptions> = {
  backend: withMethods(
    "an object with publish, subscribe and close, such as memoryPubSub()",
    "publish",
    "subscribe",
    "close",
  ),
  property,
};
