import { fileURLToPath } from "node:url";
import { type Client, type ClientOptions, createClient } from "graphql-ws";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { freePort } from "../../../scripts/services/server-process.ts";
import { until } from "../../../scripts/testing/until.ts";
import { startProgram } from "../../program.ts";

let url: string;
let program: AsyncDisposable;

// In a process of its own: Vitest's resolution and Node's give two copies of graphql.
beforeAll(async () => {
  const port = await freePort();
  const folder = fileURLToPath(new URL("..", import.meta.url));
  program = await startProgram(folder.replace(/\/$/, ""), "src/main.ts", port, {});
  url = `http://127.0.0.1:${port}`;
});

afterAll(() => program[Symbol.asyncDispose]());

/** One browser: its cookie. */
class Browser {
  cookie = "";

  async visit(): Promise<this> {
    const response = await fetch(url);
    this.cookie = response.headers.getSetCookie()[0]?.split(";")[0] ?? "";
    return this;
  }
}

/** One tab: its token, its requests and its live connection. */
class Tab {
  token: string | undefined;
  readonly browser: Browser;
  /** How often it connected, and the close codes. */
  connections = 0;
  readonly codes: number[] = [];
  readonly client: Client;

  constructor(browser: Browser, options: Partial<ClientOptions> = {}) {
    this.browser = browser;
    const { cookie } = browser;
    this.client = createClient({
      url: `${url.replace("http", "ws")}/graphql`,
      webSocketImpl: class extends WebSocket {
        constructor(address: string, protocols: string) {
          super(address, protocols, { headers: { cookie } });
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
  }

  async query(query: string): Promise<Record<string, never>> {
    const response = await fetch(`${url}/graphql`, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        cookie: this.browser.cookie,
        "sec-fetch-site": "same-origin",
        ...(this.token !== undefined && { "Session-ID": this.token }),
      },
      body: JSON.stringify({ query }),
    });
    this.token = response.headers.get("Session-ID") ?? this.token;
    const { data, errors } = (await response.json()) as { data: never; errors?: unknown };
    expect(errors).toBeUndefined();
    return data;
  }

  /** What a subscription yields, and how it ends. */
  subscribe(query: string) {
    const results: unknown[] = [];
    const end = Promise.withResolvers<unknown>();
    const dispose = this.client.subscribe(
      { query },
      {
        next: ({ data }) => void results.push(data),
        error: (error) => end.resolve(error),
        complete: () => end.resolve("complete"),
      },
    );
    return { results, ended: end.promise, dispose };
  }
}

const AUTH = "subscription { auth { user } }";
const state = (user: string | null) => ({ auth: { user } });

test("a query that is too long is a 413 that closes the connection, and says so", async () => {
  const response = await fetch(`${url}/graphql`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Sec-Fetch-Site": "same-origin" },
    body: JSON.stringify({ query: "x".repeat(70_000) }),
  });
  expect([response.status, response.headers.get("Connection")]).toEqual([413, "close"]);
});

describe("subscribing to auth", () => {
  test("yields the current state first", async () => {
    const tab = new Tab(await new Browser().visit());
    const { results } = tab.subscribe(AUTH);
    await until(() => expect(results).toEqual([state(null)]));
    expect(tab.token?.split(".")).toHaveLength(3);
  });

  test("twice with one token shares one session", async () => {
    const tab = new Tab(await new Browser().visit());
    const { auth } = await tab.query("query { auth { sessionId } }");
    expect(auth).toEqual({ sessionId: tab.token });
    const [one, two] = [tab.subscribe(AUTH), tab.subscribe("subscription { user { name } }")];
    await until(() => expect(one.results).toEqual([state(null)]));
    await until(() => expect(two.results).toEqual([{ user: null }]));
    const twin = new Tab(tab.browser);
    twin.token = tab.token;
    const { results } = twin.subscribe(AUTH);
    await until(() => expect(results).toHaveLength(1));
    expect(twin.token).toBe(tab.token);
  });

  test("a query in one tab is pushed to the others, and to no other browser", async () => {
    const browser = await new Browser().visit();
    const listening = new Tab(browser).subscribe(AUTH);
    const elsewhere = new Tab(await new Browser().visit()).subscribe(AUTH);
    for (const { results } of [listening, elsewhere]) {
      await until(() => expect(results).toHaveLength(1));
    }
    const asking = new Tab(browser);
    await asking.query("query { auth { user } }");
    await until(() => expect(listening.results).toEqual([state(null), state(null)]));
    await asking.query("query { auth { user } }");
    await until(() => expect(listening.results).toHaveLength(3));
    expect(elsewhere.results).toEqual([state(null)]);
  });

  test("tells each tab its own state, whoever asked: their sessions are their own", async () => {
    const browser = await new Browser().visit();
    const [alan, edith, nobody] = [new Tab(browser), new Tab(browser), new Tab(browser)];
    await alan.query('mutation { signIn(name: "alan") { user } }');
    await edith.query('mutation { signIn(name: "edith") { user } }');
    const tabs = [alan, edith, nobody].map((tab) => tab.subscribe(AUTH).results);
    for (const results of tabs) await until(() => expect(results).toHaveLength(1));
    await new Tab(browser).query("query { auth { user } }");
    await alan.query("query { auth { user } }");
    for (const results of tabs) await until(() => expect(results).toHaveLength(3));
    expect(tabs).toEqual(["alan", "edith", null].map((name) => Array(3).fill(state(name))));
  });

  test("ended by its tab, the next one still hears (AS6)", async () => {
    const browser = await new Browser().visit();
    const tab = new Tab(browser);
    const first = tab.subscribe(AUTH);
    const second = tab.subscribe(AUTH);
    for (const { results } of [first, second]) await until(() => expect(results).toHaveLength(1));
    first.dispose();
    await new Tab(browser).query("query { auth { user } }");
    await until(() => expect(second.results).toHaveLength(2));
    expect(first.results).toHaveLength(1);
  });
});

test("subscribing to user yields who is signed in with their tabs, and how many they are later", async () => {
  const browser = await new Browser().visit();
  const [first, second] = [new Tab(browser), new Tab(browser)];
  const query = "subscription { user { name tabs } }";
  const nobody = first.subscribe(query);
  await until(() => expect(nobody.results).toEqual([{ user: null }]));
  await second.query('mutation { signIn(name: "barbara") { user } }');
  const { results } = second.subscribe(query);
  await until(() => expect(results).toEqual([{ user: { name: "barbara", tabs: 1 } }]));
  const third = new Tab(browser);
  third.token = second.token;
  third.subscribe(query);
  await until(() => expect(third.connections).toBe(1));
  await third.query("query { auth { user } }");
  await until(() => expect(results.at(-1)).toEqual({ user: { name: "barbara", tabs: 2 } }));
  expect(nobody.results.at(-1)).toEqual({ user: null });
});

test("a first-time visitor without a cookie is refused", async () => {
  const tab = new Tab(new Browser(), { retryAttempts: 0 });
  const { ended, results } = tab.subscribe(AUTH);
  expect(await ended).toMatchObject({ message: "Unexpected server response: 401" });
  expect(results).toEqual([]);
  expect(tab.connections).toBe(0);
});

describe("a termination of the client", () => {
  test("ends its subscriptions, with exactly one connection and an error 4401", async () => {
    const browser = await new Browser().visit();
    const tab = new Tab(browser);
    const { results, ended } = tab.subscribe(AUTH);
    await until(() => expect(results).toHaveLength(1));
    const other = new Tab(browser);
    await other.query("mutation { terminate }");
    expect(await ended).toMatchObject({ code: 4401, reason: "terminated" });
    expect(tab.codes).toEqual([4401]);
    expect(tab.connections).toBe(1);
  });

  test("makes the token worth nothing", async () => {
    const tab = new Tab(await new Browser().visit());
    await tab.query('mutation { signIn(name: "grace") { user } }');
    const { results } = tab.subscribe(AUTH);
    await until(() => expect(results).toEqual([state("grace")]));
    await new Tab(tab.browser).query("mutation { terminate }");
    await until(() => expect(tab.codes).toEqual([4401]));
    expect(await tab.query("query { user { name } }")).toEqual({ user: null });
  });
});

test("a sign-in renews the tab's session: 4403 makes it come back once, with the new token", async () => {
  const tab = new Tab(await new Browser().visit());
  const { results } = tab.subscribe(AUTH);
  await until(() => expect(results).toEqual([state(null)]));
  const before = tab.token;
  await tab.query('mutation { signIn(name: "ada") { user } }');
  await until(() => expect(results.at(-1)).toEqual(state("ada")));
  await until(() => expect(tab.connections).toBe(2));
  expect(tab.codes).toEqual([4403]);
  expect(tab.token).not.toBe(before);
  const { user } = await tab.query("query { user { name tabs } }");
  expect(user).toEqual({ name: "ada", tabs: 1 });
});
