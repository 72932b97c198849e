import { knownOptions, numberOption } from "@lanai/pubsub/backend";
import type { NatsConnection } from "@nats-io/transport-node";

export interface NatsPubSubOptions {
  /**
   * What every subject begins with on the wire: `chat.room` is `app.chat.room` there. Tokens of
   * letters, digits, `_` and `-`, with dots between them, at most 64 characters. Apps that share an
   * account choose different ones. Default: `app`.
   */
  readonly prefix?: string;
  /**
   * For how long a call waits for the server, in milliseconds, until it fails with
   * `ERR_PUBSUB_UNAVAILABLE`. A publish on a retained subject is sent again for so long while the
   * connection is lost. From 100 to 60,000. Default: 5,000.
   */
  readonly timeout?: number;
  /** Where the server keeps the streams that `ensureStream` makes. Default: `file`. */
  readonly storage?: "file" | "memory";
  /** On how many servers of a cluster it keeps them. From 1 to 5. Default: 1. */
  readonly replicas?: number;
  /** The JetStream domain, if there are several. Default: the one of the server. */
  readonly domain?: string;
  /** The `inboxPrefix` that `connect` was given, if any. Default: `_INBOX`. */
  readonly inboxPrefix?: string;
}

export interface Settings {
  readonly prefix: string;
  readonly timeout: number;
  readonly storage: "file" | "memory";
  readonly replicas: number;
  readonly domain: string | undefined;
  readonly inboxPrefix: string;
}

const OPTIONS: readonly string[] = [
  "prefix",
  "timeout",
  "storage",
  "replicas",
  "domain",
  "inboxPrefix",
] satisfies readonly (keyof NatsPubSubOptions)[];

const SUBJECT_PREFIX = /^(?=.{1,64}$)[\w-]+(\.[\w-]+)*$/;

/** @throws TypeError or RangeError that names the option, what came and what is accepted. */
export function settingsOf(connection: NatsConnection, options: NatsPubSubOptions): Settings {
  checkConnection(connection);
  knownOptions("natsPubSub", options, OPTIONS);
  const { prefix = "app", storage = "file", inboxPrefix = "_INBOX", domain } = options;
  checkPrefix("prefix", prefix);
  checkPrefix("inboxPrefix", inboxPrefix);
  if (domain !== undefined && (typeof domain !== "string" || !/^[\w-]+$/.test(domain))) {
    throw new TypeError(
      `natsPubSub: domain must be letters, digits, _ or -, got ${String(domain)}`,
    );
  }
  if (storage !== "file" && storage !== "memory") {
    throw new TypeError(`natsPubSub: storage must be "file" or "memory", got ${String(storage)}`);
  }
  return {
    prefix,
    timeout: integer("timeout", options.timeout, 100, 60_000, 5_000),
    storage,
    replicas: integer("replicas", options.replicas, 1, 5, 1),
    domain,
    inboxPrefix,
  };
}

const checkConnection = (connection: NatsConnection) => {
  const { publish, subscribe, status } = (connection ?? {}) as Partial<NatsConnection>;
  if ([publish, subscribe, status].every((method) => typeof method === "function")) return;
  throw new TypeError(
    "natsPubSub: the first argument must be a connection: await connect({ servers, " +
      `maxReconnectAttempts: -1 }) of @nats-io/transport-node, got ${typeof connection}`,
  );
};

const checkPrefix = (name: string, value: string) => {
  if (typeof value === "string" && SUBJECT_PREFIX.test(value)) return;
  throw new TypeError(
    `natsPubSub: ${name} must be tokens of letters, digits, _ or - with dots between them, at ` +
      `most 64 characters, got ${JSON.stringify(value)}`,
  );
};

const integer = (name: string, value: unknown, least: number, most: number, fallback: number) =>
  numberOption("natsPubSub", name, value, { least, most, fallback });
