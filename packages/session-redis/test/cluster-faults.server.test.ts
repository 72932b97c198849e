import { type RedisClient, type RedisStore, redisStore } from "@lanai/session-redis";
import { Cluster } from "ioredis";
import { Cluster as Cluster5 } from "ioredis5";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { RedisServer } from "../../../scripts/services/redis.ts";
import { type RedisCluster, startRedisCluster } from "../../../scripts/services/redis-cluster.ts";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "../../session/test/http.ts";
import { keyOf } from "../../session/test/site.ts";
import { type App, startApp } from "./app.ts";
import { type BreakableProxy, CUTS, type Fault, startProxy } from "./proxy.ts";

/** Where the slots of each node begin. */
const FIRST_SLOTS = [0, 5461, 10_922];
/** Longer than the client tries by itself, so that what it gave up is over. */
const STORE_TIMEOUT = 60_000;

let servers: RedisCluster;
let proxies: BreakableProxy[];
let cluster: Cluster;
let client: RedisClient;
let store: RedisStore;
let app: App;

/** How the nth command from now on is to break. */
let broken: { n: number; fault: Fault } | undefined;

beforeAll(async () => {
  servers = await startRedisCluster({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
  proxies = await Promise.all(servers.nodes.map(({ port }) => startProxy(port)));
  const ways = servers.nodes.map(({ host, port }, n) => {
    return [`${host}:${port}`, { host, port: proxyOf(n).port }] as const;
  });
  cluster = new Cluster([{ port: proxyOf(0).port }], {
    natMap: Object.fromEntries(ways),
    // Of a node that has moved it takes the address that isn't mapped, until it has asked for all.
    retryDelayOnMoved: 50,
  });
  cluster.on("error", () => {});
  client = {
    isCluster: true,
    async call(command, ...args) {
      if (broken && --broken.n === 0) {
        proxyOf(await nodeOf(args[2] as string)).fault = broken.fault;
        broken = undefined;
      }
      return cluster.call(command, ...args);
    },
  };
  store = redisStore(client);
  const routes: Parameters<typeof startApp>[2] = {
    "/killed": async (ctx) => {
      await nodeAt(0).kill();
      ctx.session.set("late", "1");
      return "promised";
    },
    "/frozen": (ctx) => {
      nodeAt(0).freeze();
      ctx.session.login(String(ctx.query.user));
      return "welcome";
    },
    "/broken": (ctx) => {
      broken = { n: Number(ctx.query.step), fault: ctx.query.fault as Fault };
      ctx.session.login(String(ctx.query.user));
      return "welcome";
    },
  };
  app = await startApp(client, {}, routes, STORE_TIMEOUT);
  // From here on the nodes know the scripts.
  for (const n of FIRST_SLOTS.keys()) {
    const visitor = await visitorAt(n);
    await visitor.get(`/login?user=${await userAt(n)}`);
    await visitor.get("/logout");
  }
});
afterAll(async () => {
  await app?.[Symbol.asyncDispose]();
  cluster?.disconnect();
  for (const proxy of proxies ?? []) await proxy[Symbol.asyncDispose]();
  await servers?.stop();
});

const nodeAt = (n: number) => servers.nodes[n] as RedisServer;
const proxyOf = (n: number) => proxies[n] as BreakableProxy;

/** Which node has a key. */
async function nodeOf(key: string): Promise<number> {
  const slot = Number(await cluster.call("CLUSTER", "KEYSLOT", key));
  return FIRST_SLOTS.findLastIndex((first) => first <= slot);
}

/** What a session is called to the store, and in Redis. */
const storedAs = ({ cookie }: Browser) => keyOf(cookie.slice("sid=".length));
const inRedis = (browser: Browser) => storedAs(browser).replace(/^(..)/, "lanai:{$1}");

/** A browser with a session on a node. */
async function visitorAt(n: number): Promise<Browser> {
  for (;;) {
    const visitor = new Browser(app);
    await visitor.get("/set?a=1");
    if ((await nodeOf(inRedis(visitor))) === n) return visitor;
  }
}

let users = 0;

/** A new user, whose sessions are listed on a node. */
async function userAt(n: number): Promise<string> {
  for (;;) {
    const user = `user${users++}`;
    if ((await nodeOf(`lanai:owner:user:${user}`)) === n) return user;
  }
}

/** 503, and no word about what was meant to be. */
async function expectUnavailable(response: Response, from: App = app): Promise<void> {
  expect(response.status).toBe(503);
  expect(response.headers.getSetCookie()).toEqual([]);
  expect(await response.text()).toBe("Service Unavailable");
  expect(from.errors.at(-1)).toMatchObject({ code: "ERR_SESSION_STORE_UNAVAILABLE" });
}

/** Waits until a request is answered as one would with the cluster in order. */
const recovered = (browser: Browser, path: string) =>
  until(async () => {
    const response = await browser.get(path);
    expect(response.status).toBe(200);
    return response;
  });

const dataOf = async (browser: Browser) => (await browser.get("/read")).json();

describe("a node that was killed", () => {
  test("is a 503 for its sessions alone, which are there when it is back", async () => {
    const [ada, bob, visitor] = [await visitorAt(0), await visitorAt(1), await visitorAt(1)];
    const [adaId, bobId, lateId] = [await userAt(0), await userAt(1), await userAt(0)];
    await ada.get(`/login?user=${adaId}`);
    await bob.get(`/login?user=${bobId}`);

    await expectUnavailable(await ada.get("/killed"));
    await expectUnavailable(await ada.get("/read"));
    expect((await bob.get("/set?a=2")).status).toBe(200);
    expect(await bob.text("/who")).toBe(bobId);
    // The session could be written, but not the list of the user.
    await expectUnavailable(await visitor.get(`/login?user=${lateId}`));
    expect(await visitor.text("/who")).toBe("nobody");

    await nodeAt(0).restart();
    expect(await (await recovered(ada, "/read")).json()).toEqual({ a: "1", theme: "dark" });
    expect(await ada.text("/who")).toBe(adaId);
    expect(await dataOf(visitor)).toEqual({ a: "1" });
    expect(await store.list(`user:${lateId}`)).toEqual([]);
    expect((await visitor.get(`/login?user=${lateId}`)).status).toBe(200);
    expect(await visitor.text("/who")).toBe(lateId);
    expect(await store.list(`user:${lateId}`)).toHaveLength(1);
  });

  test("during a login is a 503, no cookie, and nothing stored", async () => {
    const [visitor, user] = [await visitorAt(0), await userAt(1)];
    const { cookie } = visitor;
    const { scripts } = proxyOf(0);
    const login = visitor.get(`/frozen?user=${user}`);
    // The load was one, the commit another.
    await until(() => expect(proxyOf(0).scripts).toBe(scripts + 2));
    await nodeAt(0).kill();
    await expectUnavailable(await login);
    expect(visitor.cookie).toBe(cookie);

    await nodeAt(0).restart();
    await recovered(visitor, "/read");
    expect(await visitor.text("/who")).toBe("nobody");
    expect(await dataOf(visitor)).toEqual({ a: "1" });
    expect(await store.list(`user:${user}`)).toEqual([]);
  });

  test("is given up by the client after its redirections, whatever maxRetriesPerRequest says", async () => {
    const startup = [{ port: nodeAt(0).port }, { port: nodeAt(1).port }];
    const redisOptions = { maxRetriesPerRequest: 1 };
    const clients = [
      new Cluster(startup),
      new Cluster(startup, { redisOptions }),
      new Cluster5(startup, { redisOptions }),
    ];
    onTestFinished(() => {
      for (const it of clients) it.disconnect();
    });
    const visitor = await visitorAt(2);
    const key = storedAs(visitor);
    const loads = () => clients.map(async (it) => redisStore(it).load(key));
    for (const loaded of await Promise.all(loads())) expect(loaded.status).toBe("live");

    await nodeAt(2).kill();
    for (const loaded of await Promise.allSettled(loads())) {
      expect(loaded).toMatchObject({
        reason: { message: expect.stringContaining("Too many Cluster redirections") },
      });
    }
    await nodeAt(2).restart();
    await recovered(visitor, "/read");
  });
});

test("a node that hangs is a 503 after the store's time-out, for its sessions alone", async () => {
  await using quick = await startApp(cluster);
  const [ada, bob] = [await visitorAt(0), await visitorAt(1)].map((visitor) => {
    const same = new Browser(quick);
    for (const [name, value] of visitor.cookies) same.cookies.set(name, value);
    return same;
  }) as [Browser, Browser];
  nodeAt(0).freeze();
  try {
    const answers = [ada.get("/read"), ada.get("/set?a=2"), ada.get("/login?user=ada")];
    for (const answer of await Promise.all(answers)) await expectUnavailable(answer, quick);
    expect(await dataOf(bob)).toEqual({ a: "1" });
  } finally {
    nodeAt(0).thaw();
  }
  expect(await (await recovered(ada, "/read")).json()).toEqual({ a: "1" });
  expect(await ada.text("/who")).toBe("nobody");
});

describe("a connection that breaks at a login", () => {
  const steps = ["tried", "listed", "done"].flatMap((step, n) =>
    CUTS.map((fault) => ({ step, n: n + 1, fault })),
  );

  test.each(steps)(
    "S17: with $fault, when it is $step: it is sent again, and applied once",
    async ({ n, fault }) => {
      const [visitor, user] = [await visitorAt(0), await userAt(1)];
      const old = visitor.clone();
      const sent = () => proxies.reduce((sum, { scripts }) => sum + scripts, 0);
      const before = sent();
      const login = await visitor.get(`/broken?step=${n}&fault=${fault}&user=${user}`);
      expect(login.status).toBe(200);
      expect(login.headers.getSetCookie()).toHaveLength(1);
      expect(proxies.map((proxy) => proxy.fault)).toEqual([undefined, undefined, undefined]);
      // The load, three steps, and one of them again.
      expect(sent() - before).toBeGreaterThanOrEqual(5);

      expect(await visitor.text("/who")).toBe(user);
      expect(await dataOf(visitor)).toEqual({ a: "1" });
      expect(await old.text("/who")).toBe("nobody");
      expect(await store.list(`user:${user}`)).toHaveLength(1);
      // Its creation and the login: no third time anything was done to it.
      const operations = await cluster.hget(inRedis(visitor), "r");
      expect(operations?.trimEnd().split("\n")).toHaveLength(2);
    },
  );
});

test("limit: a node that lost its data has lost the lists of users whose sessions are elsewhere", async () => {
  const [ada, bob] = [await visitorAt(0), await visitorAt(1)];
  const user = await userAt(1);
  await ada.get(`/login?user=${user}`);
  // As if it had come back empty.
  const key = inRedis(bob);
  for (const node of cluster.nodes("master")) {
    if (node.options.port === proxyOf(1).port) await node.flushall();
  }
  expect(await cluster.exists(key)).toBe(0);
  expect(await bob.text("/who")).toBe("nobody");
  expect(await ada.text("/who")).toBe(user);
  expect(await store.destroyAll(`user:${user}`)).toEqual([]);
});
