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
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`natsPubSub: the options must be an object, got ${typeof options}`);
  }
  for (const name of Object.keys(options)) {
    if (OPTIONS.includes(name)) continue;
    const known = OPTIONS.join(", ");
    throw new TypeError(`natsPubSub: there is no option "${name}": its options are ${known}`);
  }
  const { prefix = "app", storage = "file", inboxPrefix = "_INBOX", domain } = options;
  const { timeout = 5_000, replicas = 1 } = options;
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
  checkInteger("timeout", timeout, 100, 60_000);
  checkInteger("replicas", replicas, 1, 5);
  return { prefix, timeout, storage, replicas, domain, inboxPrefix };
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

const checkInteger = (name: string, value: number, least: number, most: number) => {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new RangeError(
    `natsPubSub: ${name} must be an integer from ${least} to ${most}, got ${String(value)}`,
  );
};
