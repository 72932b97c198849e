import { readFileSync } from "node:fs";
import { Cluster, type ClusterOptions, Redis, type RedisOptions } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RedisServer, startRedis } from "../services/redis.ts";
import { type RedisCluster, startRedisCluster } from "../services/redis-cluster.ts";

/** What becomes of the promises under an option. */
type Effect<Options> =
  /** The value is refused at construction. */
  | { readonly refused: Options }
  /** Everything works with it. */
  | { readonly harmless: Options }
  /** The README says what changes; the reason why it isn't tried here. */
  | { readonly listed: string };

const ENOUGH = "every test that connects gives it";
const SENTINEL = "sentinel.server.test.ts runs with a Sentinel";

/** Every option of a `Redis`: the compiler refuses a table that lacks one, or has one too many. */
const REDIS_OPTIONS: Record<keyof RedisOptions, Effect<RedisOptions>> = {
  monitor: { refused: { monitor: true } },
  readOnly: { refused: { readOnly: true } },
  role: { refused: { role: "slave" } },
  autoPipeliningIgnoredCommands: {
    harmless: { enableAutoPipelining: true, autoPipeliningIgnoredCommands: ["evalsha"] },
  },
  autoResendUnfulfilledCommands: { harmless: { autoResendUnfulfilledCommands: false } },
  autoResubscribe: { harmless: { autoResubscribe: false } },
  blockingTimeout: { harmless: { blockingTimeout: 50 } },
  blockingTimeoutGrace: { harmless: { blockingTimeout: 50, blockingTimeoutGrace: 1 } },
  clientInfoTag: { harmless: { clientInfoTag: "app" } },
  commandQueue: { harmless: { commandQueue: true } },
  commandTimeout: { harmless: { commandTimeout: 2_000 } },
  connectionName: { harmless: { connectionName: "app" } },
  connectTimeout: { harmless: { connectTimeout: 1_000 } },
  db: { harmless: { db: 3 } },
  disableClientInfo: { harmless: { disableClientInfo: true } },
  disconnectTimeout: { harmless: { disconnectTimeout: 100 } },
  enableAutoPipelining: { harmless: { enableAutoPipelining: true } },
  enableOfflineQueue: { harmless: { enableOfflineQueue: false } },
  enableReadyCheck: { harmless: { enableReadyCheck: false } },
  enableTLSForSentinelMode: { listed: SENTINEL },
  failoverDetector: { listed: SENTINEL },
  family: { harmless: { family: 4 } },
  himportFieldsets: { listed: "needs Redis 8.10" },
  host: { listed: ENOUGH },
  keepAlive: { harmless: { keepAlive: 10 } },
  keyPrefix: { harmless: { keyPrefix: "app:" } },
  lazyConnect: { harmless: { lazyConnect: true } },
  maxLoadingRetryTime: { harmless: { maxLoadingRetryTime: 10 } },
  maxRetriesPerRequest: { harmless: { maxRetriesPerRequest: 0 } },
  name: { listed: SENTINEL },
  natMap: { listed: SENTINEL },
  noDelay: { harmless: { noDelay: false } },
  offlineQueue: { harmless: { offlineQueue: true } },
  password: { listed: "needs a server with users" },
  path: { listed: "needs a server on a Unix socket" },
  port: { listed: ENOUGH },
  preferredSlaves: { listed: "only with the role slave, which is refused" },
  protocol: { harmless: { protocol: 2 } },
  reconnectOnError: { harmless: { reconnectOnError: () => 2 } },
  replyMapping: { harmless: { replyMapping: "resp3" } },
  retryStrategy: { harmless: { retryStrategy: () => null } },
  scripts: { harmless: { scripts: { mine: { lua: "return 1", numberOfKeys: 0 } } } },
  sentinelCommandTimeout: { listed: SENTINEL },
  sentinelMaxConnections: { listed: SENTINEL },
  sentinelPassword: { listed: SENTINEL },
  sentinelReconnectStrategy: { listed: SENTINEL },
  sentinelRetryStrategy: { listed: SENTINEL },
  sentinels: { listed: SENTINEL },
  sentinelTLS: { listed: SENTINEL },
  sentinelUsername: { listed: SENTINEL },
  showFriendlyErrorStack: { harmless: { showFriendlyErrorStack: true } },
  socketTimeout: { harmless: { socketTimeout: 300 } },
  stringNumbers: { harmless: { stringNumbers: true } },
  tls: { listed: "needs a server with a certificate" },
  updateSentinels: { listed: SENTINEL },
  username: { listed: "needs a server with users" },
  Connector: { listed: "ioredis chooses one of its own" },
};

/** Every option of a `Cluster`. */
const CLUSTER_OPTIONS: Record<keyof ClusterOptions, Effect<ClusterOptions>> = {
  autoPipeliningIgnoredCommands: {
    harmless: { enableAutoPipelining: true, autoPipeliningIgnoredCommands: ["ping"] },
  },
  clusterNodeRetryStrategy: { harmless: { clusterNodeRetryStrategy: () => 10 } },
  clusterRetryStrategy: { harmless: { clusterRetryStrategy: () => null } },
  dnsLookup: { harmless: { dnsLookup: (address, done) => done(null, address) } },
  enableAutoPipelining: { harmless: { enableAutoPipelining: true } },
  enableOfflineQueue: { harmless: { enableOfflineQueue: false } },
  enableReadyCheck: { harmless: { enableReadyCheck: false } },
  himportFieldsets: { listed: "needs Redis 8.10" },
  keyPrefix: { harmless: { keyPrefix: "app:" } },
  lazyConnect: { harmless: { lazyConnect: true } },
  maxRedirections: { harmless: { maxRedirections: 3 } },
  natMap: { listed: "needs a cluster behind a NAT" },
  redisOptions: { harmless: { redisOptions: { commandTimeout: 2_000, stringNumbers: true } } },
  resolveSrv: { listed: "needs a name server" },
  retryDelayOnClusterDown: { harmless: { retryDelayOnClusterDown: 10 } },
  retryDelayOnFailover: { harmless: { retryDelayOnFailover: 10 } },
  retryDelayOnMoved: { harmless: { retryDelayOnMoved: 10 } },
  retryDelayOnTryAgain: { harmless: { retryDelayOnTryAgain: 10 } },
  scaleReads: { harmless: { scaleReads: "all" } },
  scripts: { harmless: { scripts: { mine: { lua: "return 1", numberOfKeys: 0 } } } },
  shardedSubscribers: { harmless: { shardedSubscribers: true } },
  showFriendlyErrorStack: { harmless: { showFriendlyErrorStack: true } },
  slotsRefreshInterval: { harmless: { slotsRefreshInterval: 100 } },
  slotsRefreshTimeout: { harmless: { slotsRefreshTimeout: 2_000 } },
  useSRVRecords: { listed: "needs a name server" },
};

/** A package that takes a client of ioredis which the app has made. */
export interface ClientPackage {
  /** Its README, whose section *The client* lists every option. */
  readonly readme: URL;
  /** Makes the store or backend; throws for a client that it refuses. */
  readonly make: (client: Redis | Cluster) => unknown;
  /** Checks the promises with a client, and disconnects it. */
  readonly keepsItsPromises: (client: Redis | Cluster) => Promise<void>;
  /** Options that have another effect on this package. */
  readonly redis?: Partial<typeof REDIS_OPTIONS>;
  readonly cluster?: Partial<typeof CLUSTER_OPTIONS>;
  /** Options that are refused for a single server, and not for the nodes of a cluster. */
  readonly allowedOnNodes?: readonly string[];
}

/** Registers the tests of every option of a client: it is refused, harmless, or listed in the README. */
export function testClientOptions(of: ClientPackage): void {
  const { make, keepsItsPromises, allowedOnNodes = [] } = of;
  let server: RedisServer;
  let cluster: RedisCluster;

  beforeAll(async () => {
    [server, cluster] = await Promise.all([startRedis(), startRedisCluster()]);
  });
  afterAll(async () => {
    await Promise.all([server?.stop(), cluster?.stop()]);
  });

  const [, section = ""] = readFileSync(of.readme, "utf8").split("## The client\n");
  const [listed = ""] = section.split("\n## ");

  const all: readonly [name: string, Effect<never>, open: (options: never) => Redis | Cluster][] = [
    ...Object.entries({ ...REDIS_OPTIONS, ...of.redis }).map(
      ([name, effect]) =>
        [
          name,
          effect,
          (it: RedisOptions) => new Redis({ port: server.port, ...it } as object),
        ] as never,
    ),
    ...Object.entries({ ...CLUSTER_OPTIONS, ...of.cluster }).map(
      ([name, effect]) =>
        [
          name,
          effect,
          (it: ClusterOptions) => new Cluster([{ port: cluster.nodes[0].port }], it as object),
        ] as never,
    ),
  ];

  describe.each(all)("the client's option %s", (name, effect, open) => {
    test("stands in the README with its effect", () => {
      expect(listed).toContain(`\`${name}\``);
    });

    if ("refused" in effect) {
      test("is refused at construction", () => {
        const client = new Redis({ lazyConnect: true, ...(effect.refused as object) });
        expect(() => make(client)).toThrow(TypeError);
        expect(() => make(client)).toThrow(`must not have ${name}`);
        client.disconnect();
        if (allowedOnNodes.includes(name)) return;
        const redisOptions = effect.refused as object;
        const nodes = new Cluster([{ port: 1 }], { lazyConnect: true, redisOptions });
        expect(() => make(nodes)).toThrow(`must not have ${name}`);
      });
    }

    if ("harmless" in effect) {
      test("leaves every promise as it is", () => keepsItsPromises(open(effect.harmless)));
    }
  });
}

/** Resolves when a client is connected: without an offline queue nothing may be asked of it before. */
export async function connected(client: Redis | Cluster): Promise<void> {
  client.on("error", () => {});
  if (client.status === "wait") await client.connect();
  while (client.status !== "ready") await new Promise((resolve) => setTimeout(resolve, 2));
}
