import { type Bus, createPubSub } from "@lanai/pubsub";
import { textOf } from "@lanai/pubsub/backend";
import { type NatsPubSub, natsPubSub } from "@lanai/pubsub-nats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type NatsServer, startNats } from "../../../scripts/services/nats.ts";
import { listen, openBackend } from "./fixture.ts";
import { connectTo, numbers, subjectsOn, subscriptionsOf, until } from "./servers.ts";

let server: NatsServer;

beforeAll(async () => {
  server = await startNats();
});
afterAll(async () => {
  await server?.stop();
});

describe("a raw NATS client", () => {
  test("is heard, and hears, under the prefix", async () => {
    await using opened = await openBackend(server, { prefix: "shop.one" });
    const raw = await connectTo(server);
    const heard: string[] = [];
    raw.subscribe("shop.one.>", {
      callback: (_, message) => void heard.push(`${message.subject} ${message.string()}`),
    });
    await raw.flush();
    const { messages } = await listen(opened.backend, "interop.*");
    raw.publish("shop.one.interop.raw", '{"from":"raw"}');
    raw.publish("interop.raw", "not ours");
    await raw.flush();
    await opened.backend.publish("interop.ours", '{"from":"us"}');
    await until("both are heard", () => messages.length === 2 && heard.length === 2);
    expect(messages.map(({ subject, data }) => [subject, textOf(data)])).toEqual([
      ["interop.raw", '{"from":"raw"}'],
      ["interop.ours", '{"from":"us"}'],
    ]);
    expect(heard).toEqual([
      'shop.one.interop.raw {"from":"raw"}',
      'shop.one.interop.ours {"from":"us"}',
    ]);
    await raw.close();
  });

  test("publishes to a stream, and its message has an id like ours", async () => {
    await using opened = await openBackend(server);
    await opened.backend.ensureStream({ name: "interop", subjects: ["kept.>"] });
    const { messages } = await listen(opened.backend, "kept.a");
    const raw = await connectTo(server);
    raw.publish("app.kept.a", "1");
    await raw.flush();
    await until("it comes", () => messages.length === 1);
    await opened.backend.publish("kept.a", "2");
    await until("ours comes", () => messages.length === 2);
    const resumed = await listen(opened.backend, "kept.a", { since: messages[0]?.id });
    await until("the second is replayed", () => resumed.texts.length === 1);
    expect(resumed.texts).toEqual(["2"]);
    const stored = await opened.backend.jetstream.streams.get("interop");
    expect((await stored.info()).config.subjects).toEqual(["app.kept.>"]);
    await raw.close();
  });

  test("makes a stream, and its subjects are retained ones here too", async () => {
    await using opened = await openBackend(server);
    await opened.backend.publish("foreign.a", "plain");
    const manager = await opened.backend.jetstream.jetstreamManager();
    await manager.streams.add({ name: "foreign", subjects: ["app.foreign.>"] });
    await until("it is known", () =>
      opened.backend.history("foreign.a", 1).then(
        () => true,
        () => false,
      ),
    );
    await opened.backend.publish("foreign.a", "kept");
    const history = await opened.backend.history("foreign.>", 10);
    expect(history.map(({ data }) => textOf(data))).toEqual(["kept"]);
  });

  test("subscribes right after our publish was answered, and doesn't see it", async () => {
    await using opened = await openBackend(server);
    const raw = await connectTo(server);
    const late: string[] = [];
    for (const text of numbers(1, 50)) {
      await opened.backend.publish("taken", text);
      const subscription = raw.subscribe("app.taken", {
        callback: (_, message) => void late.push(message.string()),
      });
      await raw.flush();
      subscription.unsubscribe();
    }
    expect(late).toEqual([]);
    await raw.close();
  });

  test("P2: publishes once subscribe has resolved, and every one is seen", async () => {
    await using opened = await openBackend(server);
    const raw = await connectTo(server);
    for (const text of numbers(1, 200)) {
      const { texts, subscription } = await listen(opened.backend, `seen.${text}`);
      raw.publish(`app.seen.${text}`, text);
      await until("it is seen", () => texts.length === 1);
      await subscription.unsubscribe();
    }
    await raw.close();
  });
});

test("P1: what can't be is refused before the server is asked, also while it is away", async () => {
  await using own = await startNats();
  await using opened = await openBackend(own);
  const { backend } = opened;
  const { subscription } = await listen(backend, "plain");
  await own.kill();
  await until("it is noticed", () => subscription.status === "syncing");
  await expect(backend.publish("plain", "1")).rejects.toMatchObject({
    code: "ERR_PUBSUB_UNAVAILABLE",
  });
  for (const call of [
    () => backend.publish("a b", "1"),
    () => backend.publish("a.*", "1"),
    () => backend.subscribe("a..b", () => {}),
    () => backend.history(">.a", 1),
    () => backend.ensureStream({ name: "a", subjects: ["é".repeat(513)] }),
    () => backend.ensureStream({ name: "a.b", subjects: ["a"] }),
  ]) {
    await expect(call()).rejects.toMatchObject({ code: "ERR_PUBSUB_SUBJECT" });
  }
  await expect(backend.publish("a", "1", { messageId: "" })).rejects.toThrow(TypeError);
  await expect(backend.subscribe("a", () => {}, { replay: -1 })).rejects.toThrow(RangeError);
});

describe("the app's connection", () => {
  test("stays open when pub/sub is closed, with nothing of ours on it", async () => {
    const connection = await connectTo(server);
    const others = await subscriptionsOf(server);
    const backend = natsPubSub(connection);
    await backend.ensureStream({ name: "owned", subjects: ["owned.>"] });
    await backend.subscribe("owned.*", () => {});
    await backend.subscribe("plain.*", () => {});
    await backend.close();
    expect(connection.isClosed()).toBe(false);
    // The client keeps one for the answers to its own requests.
    await until("all is gone", async () => (await subscriptionsOf(server)) <= others + 1);
    expect(await subjectsOn(server)).toEqual([]);
    await connection.close();
  });

  test("is at hand with its JetStream, and on another backend undefined", async () => {
    await using opened = await openBackend(server);
    const rawOf = (bus: Bus) => {
      const { connection, jetstream } = bus.backend as Partial<NatsPubSub>;
      return { connection, jetstream };
    };
    const { connection, jetstream } = rawOf(createPubSub({ backend: opened.backend }));
    expect(connection?.getServer()).toContain(`${server.port}`);
    expect(await jetstream?.jetstreamManager()).toBeDefined();
    expect(rawOf(createPubSub())).toEqual({ connection: undefined, jetstream: undefined });
  });

  test("closed by the app ends every subscription, and says why", async () => {
    await using opened = await openBackend(server);
    const { backend } = opened;
    await backend.ensureStream({ name: "ended", subjects: ["ended.>"] });
    const listeners = await Promise.all(
      ["ended.a", "plain.a"].map((subject) => listen(backend, subject)),
    );
    const reported: unknown[] = [];
    const late = ["ended.b", "plain.b"].map((subject) =>
      backend.subscribe(subject, () => {}, { onError: (error) => reported.push(error) }),
    );
    const refused = Promise.allSettled(late);
    await backend.connection.close();
    expect((await refused).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await Promise.all(listeners.map(({ subscription }) => subscription.closed));
    await until("both are told", () => listeners.every(({ errors }) => errors.length === 1));
    for (const { errors } of listeners) expect(errors[0]?.code).toBe("ERR_PUBSUB_UNAVAILABLE");
    expect(reported).toEqual([]);
    for (const subject of ["ended.a", "plain.a"]) {
      await expect(backend.publish(subject, "1")).rejects.toMatchObject({
        code: "ERR_PUBSUB_UNAVAILABLE",
      });
    }
    await expect(backend.subscribe("plain.b", () => {})).rejects.toMatchObject({
      code: "ERR_PUBSUB_UNAVAILABLE",
    });
  });

  test("with an inboxPrefix and permissions for no more than is documented serves everything", async () => {
    const allow = '["app.>", "$JS.API.>", "_MINE.>", "$JS.EVENT.ADVISORY.STREAM.*.*"]';
    await using guarded = await startNats({
      config: `authorization { users: [{ user: u, password: p, permissions: {
        publish: ["app.>", "$JS.API.>"], subscribe: ${allow} } }] }`,
    });
    await using opened = await openBackend(
      guarded,
      { inboxPrefix: "_MINE" },
      { user: "u", pass: "p", inboxPrefix: "_MINE" },
    );
    await opened.backend.ensureStream({ name: "guarded", subjects: ["kept.>"] });
    await opened.backend.publish("kept.a", "1");
    const kept = await listen(opened.backend, "kept.*", { replay: 5 });
    const plain = await listen(opened.backend, "plain.*");
    await opened.backend.publish("kept.a", "2");
    await opened.backend.publish("plain.a", "3");
    await until("all come", () => kept.texts.length === 2 && plain.texts.length === 1);
  });

  test("that may not subscribe a subject is told so", async () => {
    await using guarded = await startNats({
      config: `authorization { users: [{ user: u, password: p, permissions: {
        subscribe: { deny: ["app.secret.>"] } } }] }`,
    });
    await using opened = await openBackend(guarded, {}, { user: "u", pass: "p" });
    await expect(opened.backend.subscribe("secret.a", () => {})).rejects.toMatchObject({
      code: "ERR_PUBSUB_UNAVAILABLE",
      cause: { name: "PermissionViolationError" },
    });
    await opened.backend.subscribe("open.a", () => {});
  });
});
