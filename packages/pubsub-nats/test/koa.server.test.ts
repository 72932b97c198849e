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

/** Asks, and leaves: at once, which is mostly while its subscribe is under way, or when it is served. */
async function visit(port: number, path: string, stays: boolean): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
  if (stays) await once(socket, "data");
  else await new Promise((resolve) => setImmediate(resolve));
  socket.destroy();
  await once(socket, "close");
}

test("10,000 subscribers come and leave through Koa, and nothing of them remains", async () => {
  await using server = await startNats();
  const connection = await connectTo(server);
  const bus = createPubSub({ backend: natsPubSub(connection) });
  await bus.ensureStream({ name: "rooms", subjects: ["room.kept.>"] });
  const counts = { subscribed: 0, unsubscribed: 0, served: 0 };
  diagnostics.subscribe("lanai:pubsub:subscribed", () => (counts.subscribed += 1));
  diagnostics.subscribe("lanai:pubsub:unsubscribed", () => (counts.unsubscribed += 1));

  const app = new Koa();
  app.use(bus.middleware());
  app.use(async (ctx) => {
    const subject = ctx.path.slice(1);
    await ctx.pubsub.subscribe(subject, () => {}, { since: ctx.get("last-event-id") });
    ctx.respond = false;
    ctx.res.writeHead(200).write("served");
    counts.served += 1;
  });
  const http = app.listen(0, "127.0.0.1");
  await once(http, "listening");
  const { port } = http.address() as AddressInfo;

  const visitAll = async (visitors: number) => {
    for (let first = 0; first < visitors; first += 250) {
      await Promise.all(
        Array.from({ length: 250 }, (_, i) => {
          const kind = ["plain", "plain.*", "kept.a", "kept.>"][i % 4] ?? "plain";
          const room = kind.startsWith("plain") ? `${(first + i) % 300}.${kind}` : kind;
          return visit(port, `/room.${room}`, i % 8 < 4);
        }),
      );
    }
    await until("all have left", () => counts.subscribed === counts.unsubscribed);
  };
  await visitAll(1_000);
  const before = await subscriptionsOf(server);
  const heap = heapUsed();
  await visitAll(10_000);
  expect(counts.served).toBeGreaterThan(5_000);
  await until("as many as before", async () => (await subscriptionsOf(server)) <= before);
  expect(heapUsed() - heap).toBeLessThan(5_000_000);
  http.close();
  await bus.close();
  await connection.close();
}, 60_000);
