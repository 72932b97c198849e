// What survival.server.test.ts starts: uses one package without a pause, and reports each round in which
// every call succeeded. An error that nobody handles ends it.
import { natsPubSub } from "@lanai/pubsub-nats";
import { redisPubSub } from "@lanai/pubsub-redis";
import { createSessions } from "@lanai/session";
import { postgresStore } from "@lanai/session-postgres";
import { redisStore } from "@lanai/session-redis";
import { connect } from "@nats-io/transport-node";
import { Cluster, Redis } from "ioredis";
import { Pool, type PoolConfig } from "pg";
import type { PubSub, Streams } from "../../packages/pubsub/src/index.ts";
import type { IndexedStore } from "../../packages/session/src/indexed-store.ts";

/** Where the package finds its server. */
export interface Surviving {
  readonly kind: keyof typeof ROUNDS;
  readonly port: number;
  /** Of a cluster: from each node's address to the one by which it is reached. */
  readonly natMap?: Record<string, { host: string; port: number }>;
  readonly pool?: PoolConfig;
}

type Round = () => Promise<void>;

/** As an app makes it that listens to no event of it. */
const redisAt = ({ port }: Surviving) =>
  new Redis(port, { maxRetriesPerRequest: 1, retryStrategy: () => 5, connectTimeout: 500 });

const clusterAt = ({ port, natMap = {} }: Surviving) =>
  new Cluster([{ port }], {
    natMap,
    clusterRetryStrategy: () => 5,
    retryDelayOnFailover: 5,
    maxRedirections: 3,
    slotsRefreshTimeout: 300,
    redisOptions: { connectTimeout: 500 },
  });

function sessionRound(store: IndexedStore): Round {
  const sessions = createSessions({ store, storeTimeout: 500 });
  return async () => {
    const { session } = await sessions.create({ userId: "ada" });
    session.set("a", 1);
    await session.commit();
    await session.update("count", (count) => Number(count ?? 0) + 1);
    await sessions.open(session.id as string);
    await sessions.list({ user: "ada" });
    await sessions.destroyAll({ user: "ada" });
  };
}

function busRound(backend: PubSub & Streams): Round {
  return async () => {
    await backend.ensureStream({ name: "kept", subjects: ["kept.>"] });
    const subscriptions = await Promise.all(
      ["plain", "kept.a", "kept.*"].map((subject) =>
        backend
          .subscribe(subject, () => {}, {
            replay: 2,
            onGap: () => {},
            onError: () => {},
          })
          .catch(() => undefined),
      ),
    );
    try {
      await Promise.all(["plain", "kept.a"].map((subject) => backend.publish(subject, "x")));
      await backend.history("kept.*", 2);
    } finally {
      await Promise.all(subscriptions.flatMap((it) => (it ? [it.unsubscribe()] : [])));
    }
  };
}

const QUICK = { timeout: 500, pingInterval: 200 };

const ROUNDS = {
  "session-redis": (at: Surviving) => sessionRound(redisStore(redisAt(at))),
  "session-redis on a cluster": (at: Surviving) => sessionRound(redisStore(clusterAt(at))),
  async "session-postgres"({ port, pool }: Surviving) {
    const timeouts = { connectionTimeoutMillis: 500, query_timeout: 500 };
    const store = postgresStore(new Pool({ ...pool, port, ...timeouts }));
    const round = sessionRound(store);
    return async () => {
      await store.migrate();
      await Promise.all([round(), round(), round()]);
    };
  },
  "pubsub-redis": (at: Surviving) => busRound(redisPubSub(redisAt(at), QUICK)),
  "pubsub-redis on a cluster": (at: Surviving) => busRound(redisPubSub(clusterAt(at), QUICK)),
  async "pubsub-nats"({ port }: Surviving) {
    const connection = await connect({
      servers: `127.0.0.1:${port}`,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 5,
      reconnectJitter: 0,
      timeout: 500,
      waitOnFirstConnect: true,
    });
    return busRound(natsPubSub(connection, { timeout: 500, checkInterval: 200 }));
  },
} satisfies Record<string, (at: Surviving) => Round | Promise<Round>>;

async function run(at: Surviving): Promise<never> {
  const round = await ROUNDS[at.kind](at);
  for (;;) {
    try {
      await round();
      process.send?.("whole", () => {});
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

process.once("disconnect", () => process.exit());
void run(JSON.parse(process.argv[2] as string));
