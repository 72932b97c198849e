import { execFile, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { createPubSub } from "@lanai/pubsub";
import { redisPubSub } from "@lanai/pubsub-redis";
import { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type RedisServer, startRedis } from "../../../scripts/services/redis.ts";
import { until } from "../../../scripts/testing/until.ts";
import { neverReads } from "../../pubsub/test/never-reads.ts";
import { keepReservedOutOfStreams } from "../../pubsub/test/reserved-streams.ts";
import { listen, numbers, openBackend } from "./fixture.ts";

const run = promisify(execFile);

let server: RedisServer;
let admin: Redis;

beforeAll(async () => {
  server = await startRedis();
  admin = new Redis(server.port);
});
beforeEach(async () => {
  await admin.flushall();
});
afterAll(async () => {
  admin?.disconnect();
  await server?.stop();
});

describe("redis-cli", () => {
  const cli = async (...args: string[]) => {
    const { stdout } = await run("redis-cli", ["-p", `${server.port}`, ...args]);
    return stdout.trim();
  };

  test("reaches plain subscriptions, and a bus, by PUBLISH to prefix and subject", async () => {
    await using opened = openBackend(server.port);
    const { texts, messages } = await listen(opened.backend, "chat.general");
    const wild = await listen(opened.backend, "chat.*");
    const bus = createPubSub({ backend: opened.backend });
    const said: unknown[] = [];
    await bus.subscribe("chat.*", (data) => said.push(data));
    expect(await cli("PUBLISH", "lanai:chat.general", '{"text":"é"}')).toBe("2");
    await until(() => expect(said).toEqual([{ text: "é" }]));
    await until(() => expect([texts, wild.texts]).toEqual([['{"text":"é"}'], ['{"text":"é"}']]));
    expect(messages[0]).toMatchObject({ id: undefined, subject: "chat.general", replayed: false });
  });

  test("is heard as it is by SUBSCRIBE, and a stream behind a line of its own and by XRANGE", async () => {
    await using opened = openBackend(server.port);
    const { backend } = opened;
    await backend.ensureStream({ name: "kept", subjects: ["kept.>"] });
    const channels = ["lanai:plain", "lanai:$stream:{kept}"] as const;
    const raw = spawn("redis-cli", ["-p", `${server.port}`, "SUBSCRIBE", ...channels]);
    let heard = "";
    raw.stdout.setEncoding("utf8").on("data", (text: string) => {
      heard += text;
    });
    const subscribed = channels.map((it, n) => `subscribe\n${it}\n${n + 1}\n`).join("");
    await until(() => expect(heard).toBe(subscribed));
    await backend.publish("plain", '{"a":1}');
    await backend.publish("kept.a", '{"b":2}');
    const [stored] = await backend.history("kept.a", 1);
    const line = `${stored?.id?.replace(":", " ")} kept.a`;
    await until(() =>
      expect(heard.slice(subscribed.length)).toBe(
        `message\n${channels[0]}\n{"a":1}\nmessage\n${channels[1]}\n${line}\n{"b":2}\n`,
      ),
    );
    expect(await cli("XRANGE", "lanai:stream:{kept}", "-", "+")).toMatch(
      /^\d+-1\ns\nkept\.a\nd\n\{"b":2\}$/,
    );
    raw.kill();
  });

  test("that publishes to a retained subject reaches who is there, and is not stored", async () => {
    await using opened = openBackend(server.port);
    const { backend } = opened;
    await backend.ensureStream({ name: "kept", subjects: ["kept.>"] });
    const { messages } = await listen(backend, "kept.*");
    await cli("PUBLISH", "lanai:kept.a", "1");
    await until(() => expect(messages).toMatchObject([{ id: undefined, subject: "kept.a" }]));
    expect(await backend.history("kept.a", 10)).toEqual([]);
  });

  test("that publishes what no subject can be, or garbage to a stream's channel, reaches nobody", async () => {
    await using opened = openBackend(server.port);
    const { backend } = opened;
    await backend.ensureStream({ name: "kept", subjects: ["kept.>"] });
    const { texts } = await listen(backend, ">");
    for (const channel of ["a..b", "a b", "a.*", "$SYS.x", "$stream:{kept}", "$streams", ""]) {
      await cli("PUBLISH", `lanai:${channel}`, "garbage");
    }
    await backend.publish("end", "end");
    await until(() => expect(texts).toEqual(["end"]));
  });
});

/** A client that may do what the README says, and nothing else. */
const limited = async () => {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const [, command = ""] =
    /^redis-cli( ACL SETUSER app on '>secret' .*?)^```$/ms.exec(readme) ?? [];
  await run("sh", ["-c", `redis-cli -p ${server.port} ${command}`]);
  return new Redis(server.port, { username: "app", password: "secret" });
};

describe("patterns on the wire", () => {
  const patterns = async () => Number(await admin.call("PUBSUB", "NUMPAT"));

  test("10,000 wildcard subscriptions of one process are at most 17, and none when they leave", async () => {
    await using opened = openBackend(server.port);
    const { backend } = opened;
    const heard: string[] = [];
    const subscriptions = await Promise.all(
      numbers(1, 10_000).map((n) =>
        backend.subscribe(
          `${["client", "room", "x"][Number(n) % 3]}${Number(n) % 20}.${n}.>`,
          (it) => heard.push(it.subject),
        ),
      ),
    );
    expect(await patterns()).toBe(17);
    for (const n of [1, 9, 5_000, 9_999, 10_000]) {
      const first = `${["client", "room", "x"][n % 3]}${n % 20}`;
      await backend.publish(`${first}.${n}.a.b`, "");
      await backend.publish(`${first}.${n}`, "");
    }
    await backend.publish("room1.1.a", "");
    await backend.publish("client9.9.end", "");
    await until(() => expect(heard.at(-1)).toBe("client9.9.end"));
    // Each once, though some came by three patterns; and nobody else's.
    expect(heard).toEqual([
      "room1.1.a.b",
      "client9.9.a.b",
      "x0.5000.a.b",
      "client19.9999.a.b",
      "room0.10000.a.b",
      "room1.1.a",
      "client9.9.end",
    ]);
    await Promise.all(subscriptions.map((it) => it.unsubscribe()));
    expect(await patterns()).toBe(0);
    expect(await admin.pubsub("CHANNELS")).toEqual(["lanai:$streams"]);
  });

  test("retained subjects take none, beyond the one of their subscription", async () => {
    await using opened = openBackend(server.port);
    const { backend } = opened;
    await backend.ensureStream({ name: "kept", subjects: ["kept.>"] });
    await Promise.all(numbers(1, 100).map(() => backend.subscribe("kept.*", () => {})));
    expect(await patterns()).toBe(1);
  });

  test("with maxPatterns 0 there is one, which is all that an ACL has to allow", async () => {
    const client = await limited();
    const backend = redisPubSub(client, { maxPatterns: 0 });
    const { texts } = await listen(backend, "a.*.c");
    const other = await listen(backend, ">");
    expect(await patterns()).toBe(1);
    await backend.publish("a.b.c", "1");
    await until(() => expect([texts, other.texts]).toEqual([["1"], ["1"]]));
    await backend.ensureStream({ name: "kept", subjects: ["kept.>"], maxAge: 60_000 });
    await backend.publish("kept.a", "2", { messageId: "2" });
    const kept = await listen(backend, "kept.*", { replay: 1 });
    await backend.publish("kept.b", "3");
    await until(() => expect(kept.texts).toEqual(["2", "3"]));
    await backend.close();
    // One that isn't allowed is told so, and the others go on.
    const strict = redisPubSub(client);
    const literal = await listen(strict, "a.b.c");
    await expect(strict.subscribe("a.*", () => {})).rejects.toMatchObject({
      code: "ERR_PUBSUB_UNAVAILABLE",
      cause: { message: expect.stringContaining("NOPERM") },
    });
    await strict.publish("a.b.c", "2");
    await until(() => expect(literal.texts).toEqual(["2"]));
    await strict.close();
    client.disconnect();
  });

  test("sharded channels need no more than is documented", async () => {
    const client = await limited();
    const backend = redisPubSub(client, { sharded: true });
    await backend.ensureStream({ name: "kept", subjects: ["kept.>"] });
    const { texts } = await listen(backend, "a.*");
    const kept = await listen(backend, "kept.*");
    await backend.publish("a.b", "1");
    await backend.publish("kept.a", "2");
    await until(() => expect([texts, kept.texts]).toEqual([["1"], ["2"]]));
    await backend.close();
    client.disconnect();
  });

  test("globs never match too little, and what is too much is filtered", async () => {
    await using opened = openBackend(server.port, { maxPatterns: 1_000 });
    const { backend } = opened;
    const strange = ["a?", "[ab]", "\\a", "^", "-", "a-b", "{x}", "%", "é", "😀", "]", "a"];
    const subscribed = await Promise.all(
      strange.map((it) => listen(backend, `${it}.*`).then((listener) => ({ it, ...listener }))),
    );
    for (const it of strange) await backend.publish(`${it}.x`, it);
    await backend.publish("a.x.y", "too deep");
    for (const { it, texts } of subscribed) await until(() => expect(texts).toEqual([it]));
  });
});

test("a Redis that has forgotten its scripts is sent them again", async () => {
  await using opened = openBackend(server.port);
  const { backend } = opened;
  await backend.ensureStream({ name: "kept", subjects: ["kept"] });
  const { texts } = await listen(backend, ">");
  for (const text of numbers(1, 5)) {
    await admin.script("FLUSH");
    await backend.publish(Number(text) % 2 ? "kept" : "plain", text);
  }
  await until(() => expect(texts).toEqual(numbers(1, 5)));
  await admin.script("FLUSH");
  expect((await backend.history("kept", 5)).length).toBe(3);
});

test("a stream that comes into being is heard by those who were there before, from its first message", async () => {
  await using here = openBackend(server.port);
  await using there = openBackend(server.port);
  const listeners = await Promise.all(
    ["new.*", ">"].map((subject) => listen(here.backend, subject)),
  );
  const rounds = numbers(1, 30);
  for (const round of rounds) {
    await there.backend.ensureStream({ name: `new${round}`, subjects: [`new.${round}`] });
    for (const text of numbers(1, 10)) await there.backend.publish(`new.${round}`, text);
  }
  for (const { messages, gaps } of listeners) {
    await until(() => expect(messages.length).toBe(300));
    for (const round of rounds) {
      const own = messages.filter(({ subject }) => subject === `new.${round}`);
      expect(own.map(({ data }) => String(data))).toEqual(numbers(1, 10));
    }
    expect(gaps).toEqual([]);
  }
});

test("P3: a replay ends with what is stored, though the process has not heard of it yet", async () => {
  await using opened = openBackend(server.port);
  const { backend } = opened;
  await backend.ensureStream({ name: "kept", subjects: ["kept"] });
  const early = await listen(backend, "kept");
  await backend.publish("kept", "1");
  await until(() => expect(early.texts).toEqual(["1"]));
  // Stored, and on its way for as long as the test likes.
  const key = "lanai:stream:{kept}";
  const [last] = await admin.hmget(`${key}:meta`, "last");
  await admin.xadd(key, `${last}-2`, "s", "kept", "d", "2");
  await admin.hset(`${key}:meta`, "count", 2);
  const late = await listen(backend, "kept", { replay: 1 });
  await until(() => expect(late.texts).toEqual(["2"]));
});

test("P4: a publisher that doesn't know a stream yet stores on it nevertheless", async () => {
  await using one = openBackend(server.port);
  await using other = openBackend(server.port);
  await other.backend.publish("x.before", "0");
  for (const text of numbers(1, 30)) {
    await one.backend.ensureStream({ name: `s${text}`, subjects: [`x.${text}`] });
    // At once: the news of the stream may not have come yet.
    await other.backend.publish(`x.${text}`, text);
    const [stored] = await one.backend.history(`x.${text}`, 1);
    expect(String(stored?.data)).toBe(text);
  }
});

test("P4: two processes that make streams at once make all of them, and no two of one subject", async () => {
  await using one = openBackend(server.port);
  await using other = openBackend(server.port);
  const results = await Promise.allSettled(
    numbers(1, 20).flatMap((n) => [
      one.backend.ensureStream({ name: `a${n}`, subjects: [`x.${n}`, `a.${n}`] }),
      other.backend.ensureStream({ name: `b${n}`, subjects: [`x.${n}`, `b.${n}`] }),
    ]),
  );
  const refused = results.filter(({ status }) => status === "rejected");
  expect(refused.length).toBe(20);
  for (const it of refused) expect(it).toMatchObject({ reason: { code: "ERR_PUBSUB_STREAM" } });
  expect(await admin.hlen("lanai:{streams}")).toBe(21);
});

test("two apps with prefixes of their own don't hear each other", async () => {
  await using one = openBackend(server.port, { prefix: "one:" });
  await using other = openBackend(server.port, { prefix: "other:" });
  for (const { backend } of [one, other]) {
    await backend.ensureStream({ name: "kept", subjects: ["kept"] });
  }
  const here = await listen(one.backend, ">");
  const there = await listen(other.backend, ">");
  await one.backend.publish("kept", "1");
  await other.backend.publish("kept", "2");
  await one.backend.publish("plain", "3");
  await until(() => expect([here.texts, there.texts]).toEqual([["1", "3"], ["2"]]));
  expect(await other.backend.history("kept", 9)).toMatchObject([{ data: Buffer.from("2") }]);
});

test.each(["close", "drop-oldest"] as const)(
  "P7: one that never reads delays none of a hundred beside it, meets its policy (%s), and holds no more than its queue",
  async (overflow) => {
    await using opened = openBackend(server.port);
    const { backend } = opened;
    await backend.ensureStream({ name: "slow", subjects: ["slow.kept"] });
    for (const subject of ["slow.kept", "slow.plain"]) {
      await neverReads(backend, subject, overflow);
    }
  },
);

test("an error holds no payload and no cursor", async () => {
  await using opened = openBackend(server.port);
  const { backend } = opened;
  await backend.ensureStream({ name: "kept", subjects: ["kept"] });
  await admin.set("lanai:stream:{kept}", "a string");
  const error = await backend.publish("kept", "a secret").catch((it) => it);
  expect(error).toMatchObject({ code: "ERR_PUBSUB_UNAVAILABLE", cause: { message: /WRONGTYPE/ } });
  expect(JSON.stringify([error, error.cause, error.message, error.stack])).not.toContain("secret");
});

test("nothing connects before something is asked for, and close ends only what is ours", async () => {
  const client = new Redis(server.port);
  const backend = redisPubSub(client);
  const pubsubs = async () =>
    String(await admin.call("CLIENT", "LIST", "TYPE", "pubsub"))
      .split("\n")
      .filter(Boolean).length;
  expect(await pubsubs()).toBe(0);
  await backend.subscribe("a", () => {});
  expect(await pubsubs()).toBe(1);
  await backend.close();
  await until(async () => expect(await pubsubs()).toBe(0));
  expect(await client.ping()).toBe("PONG");
  client.disconnect();
});

test("C9: the widest stream retains no reserved subject", async () => {
  await using opened = openBackend(server.port);
  await keepReservedOutOfStreams(opened.backend);
});
