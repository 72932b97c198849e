import diagnostics from "node:diagnostics_channel";
import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createPubSub } from "@lanai/pubsub";
import { Redis } from "ioredis";
import Koa from "koa";
import { expect, test } from "vitest";
import { startRedis } from "../../../scripts/services/redis.ts";
import { eventually, openBackend } from "./fixture.ts";
import { wireOf } from "./servers.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

const heapUsed = () => {
  collect();
  return process.memoryUsage().heapUsed;
};

/** Asks, and leaves: at once, which is mostly while its subscribe is under way, or when served. */
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
  await using server = await startRedis();
  await using opened = openBackend(server.port, { prefix: "koa:" });
  const bus = createPubSub({ backend: opened.backend });
  await bus.ensureStream({ name: "kept", subjects: ["room.kept.>"] });
  const counts = { subscribed: 0, unsubscribed: 0, served: 0 };
  diagnostics.subscribe("lanai:pubsub:subscribed", () => (counts.subscribed += 1));
  diagnostics.subscribe("lanai:pubsub:unsubscribed", () => (counts.unsubscribed += 1));

  const app = new Koa();
  app.use(bus.middleware());
  app.use(async (ctx) => {
    await ctx.pubsub.subscribe(ctx.path.slice(1), () => {}, { since: ctx.get("last-event-id") });
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
        Array.from({ length: 250 }, (_, n) => {
          const kind = ["plain", "plain.*", "kept.a", "kept.>"][n % 4] ?? "plain";
          const room = kind.startsWith("plain") ? `${(first + n) % 300}.${kind}` : kind;
          return visit(port, `/room.${room}`, n % 8 < 4);
        }),
      );
    }
    await eventually(() => expect(counts.unsubscribed).toBe(counts.subscribed));
  };
  await visitAll(1_000);
  expect(await wireOf([server], "koa:")).toBe(0);
  const heap = heapUsed();
  await visitAll(10_000);
  expect(counts.served).toBeGreaterThan(5_000);
  await eventually(async () => expect(await wireOf([server], "koa:")).toBe(0));
  expect(heapUsed() - heap).toBeLessThan(5_000_000);

  const admin = new Redis(server.port);
  expect(await admin.pubsub("CHANNELS")).toEqual(["koa:$streams"]);
  admin.disconnect();
  http.close();
}, 60_000);
