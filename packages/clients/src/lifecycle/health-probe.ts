import { randomBytes } from "node:crypto";
import { within } from "@lanai/connection/deadline";
import { checkOptions, duration, type Rules, withMethods } from "@lanai/connection/options";
import type { PubSub, Subscription } from "@lanai/pubsub";
import { libraryPubSub } from "@lanai/pubsub/backend";
import type { Store } from "@lanai/session";
import type { ExtendableContext } from "koa";
import type { GracefulShutdown } from "./graceful-shutdown.ts";

/** Options of `healthProbe`. */
export interface HealthProbeOptions {
  /** The store of the sessions. Default: none is checked. */
  readonly store?: Pick<Store, "load">;
  /** The bus, or its backend. Default: none is checked. */
  readonly pubsub?: PubSub | { readonly backend: PubSub };
  /** The shutdown of this process: after it has begun, the response is 503. Default: none. */
  readonly shutdown?: Pick<GracefulShutdown, "state">;
  /** The timeout of a check. Milliseconds, from 1. Default: 1,000. */
  readonly timeout?: number;
  /** The time for which a result is reused for further probes. Milliseconds, from 0. Default: 1,000. */
  readonly maxAge?: number;
}

/** The body of a probe's response. It holds no cause, since anybody may read it. */
export interface Health {
  /** The summary: `leaving` after the shutdown has begun. */
  readonly status: "ok" | "down" | "leaving";
  /** The result of each check, by name: `store`, `bus`. */
  readonly checks: Readonly<Record<string, "ok" | "down">>;
}

const RULES: Rules<HealthProbeOptions> = {
  store: withMethods("a store of sessions", "load"),
  pubsub: { accepted: "a bus or a backend", kind: (it) => typeof it === "object" && it !== null },
  shutdown: { accepted: "what gracefulShutdown returns", kind: (it) => typeof it === "object" },
  timeout: duration(1),
  maxAge: duration(0),
};

/** The key of no session: a store looks for it and finds nothing. */
const NO_SESSION = `00.${"0".repeat(43)}`;

/**
 * Returns a middleware that reports to load balancers whether this process can serve. It responds with
 * 200 if the store loads and the bus returns what was published, and with 503 otherwise, or if the
 * process is about to end.
 * Mount it on a path of its own, before `sessions.middleware()`. Probes at once share one check.
 *
 * @throws TypeError or RangeError for an option that doesn't exist or can't be.
 */
export function healthProbe(
  options: HealthProbeOptions = {},
): (ctx: ExtendableContext) => Promise<void> {
  checkOptions("healthProbe", options, RULES);
  const { store, pubsub, shutdown, timeout = 1_000, maxAge = 1_000 } = options;
  const bus = pubsub && new BusCheck(libraryPubSub(pubsub, "health"));
  const checks: Record<string, () => Promise<unknown>> = {
    ...(store && { store: async () => store.load(NO_SESSION) }),
    ...(bus && { bus: () => bus.run() }),
  };

  const passes = async (check: () => Promise<unknown>): Promise<"ok" | "down"> => {
    try {
      await within(timeout, check(), () => {
        throw new Error("the check took too long");
      });
      return "ok";
    } catch {
      return "down";
    }
  };

  const run = async (): Promise<Health> => {
    const names = Object.keys(checks);
    const results = await Promise.all(Object.values(checks).map(passes));
    return {
      status: results.includes("down") ? "down" : "ok",
      checks: Object.fromEntries(names.map((name, at) => [name, results[at] ?? "down"])),
    };
  };

  let last: { readonly at: number; readonly result: Promise<Health> } | undefined;
  return async (ctx) => {
    const now = performance.now();
    if (last === undefined || now - last.at > maxAge) last = { at: now, result: run() };
    const health = await last.result;
    const isLeaving = shutdown !== undefined && shutdown.state !== "running";
    const status = isLeaving ? "leaving" : health.status;
    ctx.status = status === "ok" ? 200 : 503;
    ctx.set("Cache-Control", "no-store");
    ctx.body = { status, checks: health.checks };
  };
}

/** Publishes a message to this process alone, and waits for it to come back. */
class BusCheck {
  readonly #pubsub: PubSub;
  readonly #subject = randomBytes(12).toString("base64url");
  readonly #waiting = new Map<string, () => void>();
  #subscription: Promise<Subscription> | undefined;

  constructor(pubsub: PubSub) {
    this.#pubsub = pubsub;
  }

  async run(): Promise<void> {
    this.#subscription ??= this.#subscribe();
    await this.#subscription;
    const id = randomBytes(12).toString("base64url");
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.set(id, resolve);
    // The result of a check that failed is nobody's.
    if (this.#waiting.size > 100) this.#waiting.delete([...this.#waiting.keys()][0] ?? "");
    await this.#pubsub.publish(this.#subject, id);
    await promise;
    this.#waiting.delete(id);
  }

  async #subscribe(): Promise<Subscription> {
    const forget = () => {
      this.#subscription = undefined;
    };
    try {
      const subscription = await this.#pubsub.subscribe(
        this.#subject,
        ({ data }) => this.#waiting.get(Buffer.from(data).toString())?.(),
        { onError: () => {}, onGap: () => {} },
      );
      void subscription.closed.then(forget);
      return subscription;
    } catch (error) {
      forget();
      throw error;
    }
  }
}
