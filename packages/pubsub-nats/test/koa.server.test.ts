import diagnostics from "node:diagnostics_channel";
import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createPubSub } from "@lanai/pubsub";
import { natsPubSub } from "@lanai/pubsub-nats";
import Koa from "koa";
import { expect, test } from "vitest";
import { startNats } from "../../../scripts/services/nats.ts";
import { connectTo, subscriptionsOf, until } from "./servers.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

const heapUsed = () => {
  collect();
  return process.memoryUsage().heapUsed;
};

/**
 * Asks, and leaves: when it is served, or at once, or when its connection is cut, which the handler
 * sees to while the subscribe is under way.
 */
async function visit(port: number, path: string, leaves: Leaves): Promise<void> {
  const socket = connect(port, "127.0.0.1").on("error", () => {});
  await once(socket, "connect");
  const closed = once(socket, "close");
  socket.write(`GET ${path}?leaves=${leaves} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
  if (leaves === "served") await once(socket, "data");
  if (leaves === "at-once") await new Promise((resolve) => setImmediate(resolve));
  if (leaves !== "cut") socket.destroy();
  await closed;
}

type Leaves = "served" | "at-once" | "cut";
/** For each of the subjects in turn. */
const LEAVES: readonly Leaves[] = ["served", "cut", "at-once", "cut"];

test("10,000 subscribers come and leave through Koa, and nothing of them remains", async () => {
  await using server = await startNats();
  const connection = await connectTo(server);
  const bus = createPubSub({ backend: natsPubSub(connection) });
  await bus.ensureStream({ name: "rooms", subjects: ["room.kept.>"] });
  const counts = { subscribed: 0, unsubscribed: 0, served: 0, endedMeanwhile: 0 };
  diagnostics.subscribe("lanai:pubsub:subscribed", () => (counts.subscribed += 1));
  diagnostics.subscribe("lanai:pubsub:unsubscribed", () => (counts.unsubscribed += 1));

  const app = new Koa();
  app.use(bus.middleware());
  app.use(async (ctx) => {
    const subject = ctx.path.slice(1);
    const since = ctx.get("last-event-id");
    const subscribing = ctx.pubsub.subscribe(subject, () => {}, { since });
    if (ctx.query.leaves === "cut") ctx.req.socket.destroy();
    const subscription = await subscribing;
    if (subscription.status === "closed") counts.endedMeanwhile += 1;
    ctx.respond = false;
    ctx.res.writeHead(200).write("served");
    counts.served += 1;
  });
  const http = app.listen(0, "127.0.0.1");
  await once(http, "listening");
  const { port } = http.address() as AddressInfo;

  const visitAll = async (visitors: number) => {
    for (let first = 0; first < visitors; first += 200) {
      await Promise.all(
        Array.from({ length: 200 }, (_, i) => {
          const kind = ["plain", "plain.*", "kept.a", "kept.>"][i % 4] ?? "plain";
          const room = kind.startsWith("plain") ? `${(first + i) % 300}.${kind}` : kind;
          return visit(port, `/room.${room}`, LEAVES[(i >> 2) % 4] ?? "served");
        }),
      );
    }
    await until("all have left", () => counts.subscribed === counts.unsubscribed);
  };
  await visitAll(1_000);
  const before = await subscriptionsOf(server);
  const heap = heapUsed();
  counts.endedMeanwhile = 0;
  await visitAll(10_000);
  expect(counts.served).toBeGreaterThan(5_000);
  // All that were cut.
  expect(counts.endedMeanwhile).toBeGreaterThanOrEqual(5_000);
  await until("as many as before", async () => (await subscriptionsOf(server)) <= before);
  expect(heapUsed() - heap).toBeLessThan(5_000_000);
  http.close();
  await bus.close();
  await connection.close();
}, 60_000);
