import { checkOptions, integer, oneOf, type Rules, text } from "@lanai/connection/options";
import type { NatsConnection } from "@nats-io/transport-node";
import { checkConnection } from "./connection/check-connection.ts";

/** Options of `natsPubSub`. */
export interface NatsPubSubOptions {
  /**
   * The first tokens of every subject on the server: `chat.room` is `app.chat.room` there. Letters,
   * digits, `_` and `-`, with dots between tokens, at most 64 characters. Apps that share an account
   * need different prefixes. Default: `app`.
   */
  readonly prefix?: string;
  /**
   * The timeout of a call to the server, in milliseconds: the call then rejects with
   * `ERR_PUBSUB_UNAVAILABLE`. While the connection is lost, a publish on a retained subject is sent
   * again until this timeout. From 100 to 60,000. Default: 5,000.
   */
  readonly timeout?: number;
  /** The server's storage for the streams that `ensureStream` makes. Default: `file`. */
  readonly storage?: "file" | "memory";
  /** The number of servers of a cluster that keep them. From 1 to 5. Default: 1. */
  readonly replicas?: number;
  /** The JetStream domain, if there are several. Default: the one of the server. */
  readonly domain?: string;
  /** The `inboxPrefix` that `connect` was given. Default: what the connection says, or `_INBOX`. */
  readonly inboxPrefix?: string;
  /**
   * The interval at which the streams are checked for changes of their subjects, in milliseconds. If
   * the user may receive the server's advisories, they report a change at once. From 100 to 60,000.
   * Default: 2,000.
   */
  readonly checkInterval?: number;
}

export interface Settings {
  readonly prefix: string;
  readonly timeout: number;
  readonly storage: "file" | "memory";
  readonly replicas: number;
  readonly domain: string | undefined;
  readonly inboxPrefix: string;
  readonly checkInterval: number;
}

const PREFIX = text(
  "tokens of letters, digits, _ or - with dots between them, at most 64 characters",
  /^(?=.{1,64}$)[\w-]+(\.[\w-]+)*$/,
);

const RULES: Rules<NatsPubSubOptions> = {
  prefix: PREFIX,
  timeout: integer(100, 60_000, "milliseconds"),
  storage: oneOf("file", "memory"),
  replicas: integer(1, 5),
  domain: text("letters, digits, _ or -", /^[\w-]+$/),
  inboxPrefix: PREFIX,
  checkInterval: integer(100, 60_000, "milliseconds"),
};

/** @throws TypeError or RangeError that names the option, what came and what is accepted. */
export function settingsOf(connection: NatsConnection, options: NatsPubSubOptions): Settings {
  checkOptions("natsPubSub", options, RULES);
  const { inboxPrefix } = checkConnection(connection, options);
  const { prefix = "app", timeout = 5_000, storage = "file", replicas = 1, domain } = options;
  const { checkInterval = 2_000 } = options;
  return { prefix, timeout, storage, replicas, domain, inboxPrefix, checkInterval };
}
