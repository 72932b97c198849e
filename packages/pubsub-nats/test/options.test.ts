import { natsPubSub } from "@lanai/pubsub-nats";
import type { NatsConnection } from "@nats-io/transport-node";
import { expect, test } from "vitest";

const connection = {
  publish() {},
  subscribe() {},
  status() {},
} as unknown as NatsConnection;

const wrong: [name: string, options: object, message: RegExp][] = [
  ["one that there isn't", { prefx: "a" }, /no option "prefx": its options are prefix, timeout/],
  ["a prefix with a wildcard", { prefix: "a.*" }, /prefix must be tokens .* got "a\.\*"/],
  ["an empty prefix", { prefix: "" }, /prefix must be tokens/],
  ["a prefix of 65 characters", { prefix: "a".repeat(65) }, /at most 64 characters/],
  ["a prefix of the system", { prefix: "$JS" }, /prefix must be tokens/],
  ["an inboxPrefix with a space", { inboxPrefix: "a b" }, /inboxPrefix must be tokens/],
  [
    "a time-out of 99",
    { timeout: 99 },
    /timeout must be an integer of milliseconds from 100 to 60000, got 99/,
  ],
  ["a time-out that is text", { timeout: "5s" }, /timeout must be an integer .* got string/],
  ["a storage that there isn't", { storage: "disk" }, /storage must be "file" or "memory"/],
  ["no replica", { replicas: 0 }, /replicas must be an integer from 1 to 5, got 0/],
  ["a checkInterval of 60,001", { checkInterval: 60_001 }, /checkInterval must be .* got 60001/],
  ["a domain with a dot", { domain: "a.b" }, /domain must be letters, digits, _ or -, got "a\.b"/],
];

for (const [name, options, message] of wrong) {
  test(`${name} is refused at construction`, () => {
    expect(() => natsPubSub(connection, options)).toThrow(message);
  });
}

test("what isn't a connection is refused, with how to make one", () => {
  for (const it of [undefined, null, "nats://localhost", {}, { publish() {} }]) {
    expect(() => natsPubSub(it as unknown as NatsConnection)).toThrow(
      /must be a connection: await connect\(/,
    );
  }
});

test("options that are no object are refused", () => {
  expect(() => natsPubSub(connection, null as unknown as object)).toThrow(/must be an object/);
});
