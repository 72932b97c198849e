import { createRequire } from "node:module";
import { type Clients, type GraphqlLiveContext, graphqlWs } from "@lanai/clients";
import { createSessions, memoryStore, type Sessions, type Store } from "@lanai/session";
import { jwtTracker } from "@lanai/session-jwt";
import { type Client, type ClientOptions, createClient } from "graphql-ws";
import { useServer } from "graphql-ws/use/ws";
import { describe, expect, test, vi } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "./browser.ts";
import { type Site, startSite } from "./site.ts";

// As Node resolves it for graphql-ws: Vitest finds another copy, and two don't go together.
const graphql = createRequire(import.meta.url)("graphql") as typeof import("graphql");

const schema = graphql.buildSchema(`
  type Query { whoami: String }
  type Mutation { run: Int! }
  type Subscription { news: Int, other: Int }
`);

interface GraphqlSite {
  readonly site: Site;
  readonly clients: Clients;
  /** How many mutations ran. */
  runs(): number;
  /** Called when a subscription to `other` is let go of. */
  readonly returned: () => void;
  /** Of the subscriptions. */
  readonly iterators: AsyncIterator<unknown>[];
}

async function startGraphql(
  options: { readonly store?: Store; readonly port?: number } = {},
): Promise<GraphqlSite & AsyncDisposable> {
  const { store = memoryStore(), ...rest } = options;
  const tracker = jwtTracker({
    secret: "a secret of thirty-two characters",
    issuer: "test",
    client: (ctx) => site.clients.idOf(ctx),
  });
  const sessions: Sessions = createSessions({ store, tracker });
  const server = new WebSocketServer({ noServer: true });
  let runs = 0;
  const returned = vi.fn();
  const iterators: AsyncIterator<unknown>[] = [];
  const site: Site = await startSite({
    ...rest,
    sessions,
    tokenHeader: "Session-ID",
    route: async (ctx) => {
      if (ctx.path === "/graphql") site.listeners.push(await live.attach(ctx, server));
    },
  });
  const live = graphqlWs(site.clients);
  const roots = {
    query: { whoami: (_: unknown, { listener }: GraphqlLiveContext) => listener.user },
    mutation: { run: () => ++runs },
    subscription: {
      news: (_: unknown, { listener }: GraphqlLiveContext) => {
        const events = listener.events("news", { first: { news: 0 } });
        iterators.push(events);
        return events;
      },
      // An iterator that knows nothing of listeners.
      other: () => ({
        next: () => new Promise(() => {}),
        return: async () => {
          returned();
          return { done: true, value: undefined };
        },
        throw: async () => ({ done: true, value: undefined }),
        [Symbol.asyncIterator]() {
          return this;
        },
      }),
    },
  };
  useServer({ schema, roots, ...live.hooks }, server);
  return {
    ...{ site, clients: site.clients, iterators, returned, runs: () => runs },
    async [Symbol.asyncDispose]() {
      // They would reconnect at once, and once too often.
      for (const client of openClients) void client.dispose();
      openClients.clear();
      await site[Symbol.asyncDispose]();
    },
  };
}

const openClients = new Set<Client>();

/** A tab with the client of graphql-ws. */
class Tab {
  token: string | undefined;
  connections = 0;
  readonly codes: number[] = [];
  readonly client: Client;

  constructor(site: Site, browser: Browser, options: Partial<ClientOptions> = {}) {
    const headers = { cookie: browser.cookie };
    this.client = createClient({
      url: `${site.url.replace("http", "ws")}/graphql`,
      webSocketImpl: class extends WebSocket {
        constructor(address: string, protocols: string) {
          super(address, protocols, { headers });
        }
      },
      connectionParams: () => (this.token === undefined ? {} : { "Session-ID": this.token }),
      retryWait: async () => {},
      on: {
        connected: (_socket, payload) => {
          this.connections++;
          const token = (payload as { "Session-ID"?: string } | undefined)?.["Session-ID"];
          this.token = token ?? this.token;
        },
        closed: (event) => void this.codes.push((event as { code: number }).code),
      },
      ...options,
    });
    openClients.add(this.client);
  }

  subscribe(query = "subscription { news }") {
    const results: unknown[] = [];
    const { promise: ended, resolve } = Promise.withResolvers<unknown>();
    const dispose = this.client.subscribe(
      { query },
      {
        next: ({ data }) => void results.push(data),
        error: resolve,
        complete: () => resolve("complete"),
      },
    );
    return { results, ended, dispose };
  }
}

async function visitor(site: Site): Promise<Browser> {
  const browser = new Browser(site);
  await browser.get("/");
  return browser;
}

describe("graphqlWs", () => {
  test("a connection is a listener; its subscription yields the first state and what is sent", async () => {
    await using started = await startGraphql();
    const { site, clients } = started;
    const tab = new Tab(site, await visitor(site));
    const { results } = tab.subscribe();
    await until(() => expect(results).toEqual([{ news: 0 }]));
    const [listener] = site.listeners;
    expect(listener).toMatchObject({ kind: "graphql", session: expect.any(String) });
    await clients.send({ session: listener?.session ?? "" }, "news", { news: 1 });
    await until(() => expect(results).toEqual([{ news: 0 }, { news: 1 }]));
  });

  test("a browser without its cookie is refused with 401 before the 101", async () => {
    await using started = await startGraphql();
    const tab = new Tab(started.site, new Browser(started.site), { retryAttempts: 0 });
    const { ended } = tab.subscribe();
    expect(await ended).toMatchObject({ message: "Unexpected server response: 401" });
    expect(started.site.listeners).toEqual([]);
  });

  test("a termination makes exactly one connection and an error 4401", async () => {
    await using started = await startGraphql();
    const { site, clients } = started;
    const tab = new Tab(site, await visitor(site));
    const { results, ended } = tab.subscribe();
    await until(() => expect(results).toHaveLength(1));
    await clients.terminate({ client: site.listeners[0]?.client ?? "" });
    expect(await ended).toMatchObject({ code: 4401, reason: "terminated" });
    expect(tab.codes).toEqual([4401]);
    expect(tab.connections).toBe(1);
    // Asked again, it comes again, with a token that is worth nothing any more.
    expect(await tab.subscribe().ended).toMatchObject({ code: 4401 });
    expect(tab.connections).toBe(1);
    expect(clients.size).toMatchObject({ listeners: 0 });
  });

  test("4403 makes it come back once with a new token, and subscribe again", async () => {
    await using started = await startGraphql();
    const { site, clients } = started;
    const browser = await visitor(site);
    const tab = new Tab(site, browser);
    const { results } = tab.subscribe();
    await until(() => expect(results).toHaveLength(1));
    const response = await browser.get("/sign-in?user=ada", {
      headers: { "Session-ID": tab.token ?? "" },
    });
    tab.token = response.headers.get("Session-ID") ?? "";
    await until(() => expect(results).toHaveLength(2));
    expect(tab.codes).toEqual([4403]);
    expect(tab.connections).toBe(2);
    await clients.send({ user: "ada" }, "news", { news: 7 });
    await until(() => expect(results.at(-1)).toEqual({ news: 7 }));
  });

  test("1012 makes it come back, to the process that takes over, and subscribe again", async () => {
    const store = memoryStore();
    await using started = await startGraphql({ store });
    const { site, clients } = started;
    const isBack = Promise.withResolvers<void>();
    const tab = new Tab(site, await visitor(site), { retryWait: () => isBack.promise });
    const { results } = tab.subscribe();
    await until(() => expect(results).toEqual([{ news: 0 }]));
    const session = site.listeners[0]?.session ?? "";
    await clients.close();
    await until(() => expect(tab.codes).toEqual([1012]));
    await site[Symbol.asyncDispose]();

    await using next = await startGraphql({ store, port: Number(new URL(site.url).port) });
    isBack.resolve();
    // The same subscription yields from there: the state first, and what is sent to its session.
    await until(() => expect(results).toEqual([{ news: 0 }, { news: 0 }]));
    await next.clients.send({ session }, "news", { news: 1 });
    await until(() => expect(results.at(-1)).toEqual({ news: 1 }));
    expect(tab.connections).toBe(2);
  });

  test("a subscription that its client ends is over at once, though no event comes", async () => {
    await using started = await startGraphql();
    const { site, clients, iterators } = started;
    const tab = new Tab(site, await visitor(site));
    const [first, second] = [tab.subscribe(), tab.subscribe()];
    for (const { results } of [first, second]) {
      await until(() => expect(results).toHaveLength(1));
    }
    first.dispose();
    await until(async () => {
      const over = await Promise.all(
        iterators.map((it) => Promise.race([it.next(), Promise.resolve("waits")])),
      );
      expect(over).toContainEqual({ done: true, value: undefined });
    });
    await clients.send({ listener: site.listeners[0]?.id ?? "" }, "news", { news: 1 });
    expect(first.results).toHaveLength(1);
  });

  test.each([7, null, {}, ["x"], ""])(
    "a Session-ID of %j in connectionParams is none: the tab gets a session (AS8)",
    async (value) => {
      await using started = await startGraphql();
      const { site } = started;
      const tab = new Tab(site, await visitor(site), {
        connectionParams: { "Session-ID": value },
      });
      const { results } = tab.subscribe();
      await until(() => expect(results).toHaveLength(1));
      expect(tab.token?.split(".")).toHaveLength(3);
    },
  );

  test("a forged token in connectionParams closes it with 4401", async () => {
    await using started = await startGraphql();
    const { site } = started;
    const tab = new Tab(site, await visitor(site), {
      connectionParams: { "Session-ID": "forged.forged.forged" },
    });
    expect(await tab.subscribe().ended).toMatchObject({ code: 4401 });
    expect(tab.connections).toBe(0);
  });

  test("C2: one that ignores its close frame runs no mutation after a termination", async () => {
    await using started = await startGraphql();
    const { site, clients, runs, returned } = started;
    const browser = await visitor(site);
    const socket = new WebSocket(
      `${site.url.replace("http", "ws")}/graphql`,
      "graphql-transport-ws",
      { headers: { cookie: browser.cookie }, closeTimeout: 60_000 } as never,
    );
    const seen: string[] = [];
    socket.on("message", (data) => seen.push(JSON.parse(String(data)).type));
    await new Promise((resolve) => socket.once("open", resolve));
    const raw = (socket as unknown as { _socket: import("node:net").Socket })._socket;
    const send = (message: object) => {
      const payload = Buffer.from(JSON.stringify(message));
      raw.write(
        Buffer.concat([
          Buffer.from([0x81, 0x80 | 126, payload.length >> 8, payload.length & 255, 0, 0, 0, 0]),
          payload,
        ]),
      );
    };
    const run = (id: string) =>
      send({ id, type: "subscribe", payload: { query: "mutation { run }" } });
    send({ type: "connection_init" });
    await until(() => expect(seen).toContain("connection_ack"));
    run("1");
    await until(() => expect(runs()).toBe(1));
    send({ id: "other", type: "subscribe", payload: { query: "subscription { other }" } });
    run("2");
    await until(() => expect(runs()).toBe(2));
    await clients.terminate({ client: site.listeners[0]?.client ?? "" });
    expect(returned).toHaveBeenCalled();
    let id = 2;
    const flood = setInterval(() => run(`${++id}`), 5);
    await new Promise((resolve) => raw.once("close", resolve));
    clearInterval(flood);
    expect(runs()).toBe(2);
    // The closing handshake of ws alone would give it 30 seconds.
  });
});

test("the queue and the rate limit of a connection are those of its socket", async () => {
  const upgrade = vi.fn(async () => ({ finish() {}, close() {} }));
  const attach = async (ctx: object, { connect }: { connect: (it: object) => Promise<object> }) => {
    await connect(ctx);
    return { endReason: "left" };
  };
  const queue = { limit: 7, overflow: "drop-oldest" } as const;
  const live = graphqlWs({ attach } as never, { queue, rate: { messages: 3 } });
  await live.attach({ upgrade, req: {} } as never, new WebSocketServer({ noServer: true }));
  const rate = { messages: 3, bytes: 1_048_576, overflow: "pause" };
  expect(upgrade).toHaveBeenCalledWith({ protocols: ["graphql-transport-ws"], queue, rate });
});
