import { readFileSync } from "node:fs";
import { natsPubSub } from "@lanai/pubsub-nats";
import type { ConnectionOptions } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type NatsServer, startNats } from "../../../scripts/services/nats.ts";
import { listen, openBackend } from "./fixture.ts";
import { connectTo, until } from "./servers.ts";

let server: NatsServer;

beforeAll(async () => {
  server = await startNats();
});
afterAll(async () => {
  await server?.stop();
});

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

/** Every option of the client, with what becomes of the promises under it. */
const options: Record<
  keyof ConnectionOptions,
  /** The value is refused at construction. */
  | { readonly refused: ConnectionOptions }
  /** Everything works with it. */
  | { readonly harmless: ConnectionOptions }
  /** The README says what changes; the reason why it isn't tried here. */
  | { readonly listed: string }
> = {
  noEcho: { refused: { noEcho: true } },
  inboxPrefix: { harmless: { inboxPrefix: "_MINE" } },
  debug: { listed: "prints to the console" },
  maxPingOut: { harmless: { maxPingOut: 1 } },
  pingInterval: { harmless: { pingInterval: 100 } },
  maxReconnectAttempts: { harmless: { maxReconnectAttempts: 1 } },
  reconnect: { harmless: { reconnect: false } },
  reconnectDelayHandler: { harmless: { reconnectDelayHandler: () => 10 } },
  reconnectJitter: { harmless: { reconnectJitter: 10 } },
  reconnectJitterTLS: { harmless: { reconnectJitterTLS: 10 } },
  reconnectTimeWait: { harmless: { reconnectTimeWait: 10 } },
  reconnectToServer: { harmless: { reconnectToServer: () => null } },
  timeout: { harmless: { timeout: 1_000 } },
  ignoreClusterUpdates: { harmless: { ignoreClusterUpdates: true } },
  ignoreAuthErrorAbort: { harmless: { ignoreAuthErrorAbort: true } },
  noAsyncTraces: { harmless: { noAsyncTraces: true } },
  noRandomize: { harmless: { noRandomize: true } },
  pedantic: { harmless: { pedantic: true } },
  verbose: { harmless: { verbose: true } },
  waitOnFirstConnect: { harmless: { waitOnFirstConnect: true } },
  name: { harmless: { name: "app" } },
  resolve: { harmless: { resolve: false } },
  tls: { harmless: { tls: null } },
  authenticator: { listed: "needs a server with users: see below" },
  user: { listed: "needs a server with users: see below" },
  pass: { listed: "needs a server with users: see below" },
  token: { listed: "needs a server with users: see below" },
  servers: { listed: "every test gives it" },
  port: { listed: "every test gives servers instead" },
};

describe.each(Object.entries(options))("the connection's option %s", (name, effect) => {
  test("stands in the README with its effect", () => {
    const [, section = ""] = readme.split("## The connection\n");
    expect(section.split("\n## ")[0]).toContain(`\`${name}\``);
  });

  if ("refused" in effect) {
    test("is refused at construction", async () => {
      const connection = await connectTo(server, effect.refused);
      expect(() => natsPubSub(connection)).toThrow(new RegExp(`natsPubSub: .* ${name}`));
      await connection.close();
    });
  }

  if ("harmless" in effect) {
    test("leaves every promise as it is", async () => {
      await using opened = await openBackend(server, {}, effect.harmless);
      const { backend } = opened;
      await backend.ensureStream({ name: `o-${name}`, subjects: [`o-${name}.kept`] });
      const kept = await listen(backend, `o-${name}.kept`, { replay: 1 });
      const plain = await listen(backend, `o-${name}.plain`);
      for (const text of ["1", "2"]) {
        await backend.publish(`o-${name}.kept`, text);
        await backend.publish(`o-${name}.plain`, text);
      }
      await until("all come", () => kept.texts.length === 2 && plain.texts.length === 2);
      expect(await backend.history(`o-${name}.kept`, 5)).toHaveLength(2);
    });
  }
});

test("another inboxPrefix than the connection's is refused", async () => {
  const connection = await connectTo(server, { inboxPrefix: "_MINE" });
  expect(() => natsPubSub(connection, { inboxPrefix: "_OTHER" })).toThrow(
    /inboxPrefix must be that of the connection, _MINE, got _OTHER/,
  );
  await connection.close();
});

const UNAVAILABLE = { code: "ERR_PUBSUB_UNAVAILABLE" };

describe("a server's limit", () => {
  test("of subscriptions is an error of the one too many, and none goes deaf", async () => {
    await using limited = await startNats({ config: "max_subscriptions: 8" });
    await using opened = await openBackend(limited, { checkInterval: 60_000 });
    const { backend } = opened;
    const made: Awaited<ReturnType<typeof listen>>[] = [];
    let refused: unknown;
    for (let i = 0; refused === undefined && i < 20; i++) {
      try {
        made.push(await listen(backend, `many.${i}`));
      } catch (error) {
        refused = error;
      }
    }
    expect(refused).toMatchObject(UNAVAILABLE);
    for (const [i, { texts, subscription }] of made.entries()) {
      await backend.publish(`many.${i}`, "x");
      await until("it hears", () => texts.length === 1 || subscription.status === "closed");
      expect(subscription.status).toBe("live");
    }
  });

  test("of a message's size is ERR_PUBSUB_TOO_LARGE", async () => {
    await using limited = await startNats({ config: "max_payload: 2000" });
    await using opened = await openBackend(limited);
    const { backend } = opened;
    await backend.ensureStream({ name: "small", subjects: ["kept"] });
    for (const subject of ["kept", "plain"]) {
      await expect(backend.publish(subject, "x".repeat(2_001))).rejects.toMatchObject({
        code: "ERR_PUBSUB_TOO_LARGE",
      });
      await backend.publish(subject, "small");
    }
  });

  test("of an account is the error of the call that meets it", async () => {
    await using limited = await startNats({
      config: `accounts { A { jetstream { max_streams: 1, max_consumers: 1 }
        users: [{ user: u, password: p }] } }`,
    });
    await using opened = await openBackend(limited, { timeout: 1_000 }, { user: "u", pass: "p" });
    const { backend } = opened;
    await backend.ensureStream({ name: "one", subjects: ["one.>"] });
    await expect(backend.ensureStream({ name: "two", subjects: ["two"] })).rejects.toMatchObject({
      code: "ERR_PUBSUB_STREAM",
    });
    await listen(backend, "one.a");
    await expect(backend.history("one.a", 5)).rejects.toMatchObject(UNAVAILABLE);
    await backend.publish("one.a", "x");
  });

  test("of its protocol, that it knows no headers, is refused at construction", async () => {
    await using limited = await startNats({ config: "no_header_support: true" });
    const connection = await connectTo(limited);
    expect(() => natsPubSub(connection)).toThrow(/no_header_support/);
    await connection.close();
  });
});
