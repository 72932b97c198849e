import diagnostics from "node:diagnostics_channel";
import { once } from "node:events";
import { connect } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Bus } from "@lanai/pubsub";
import Koa from "koa";
import { expect } from "vitest";
import { isLong } from "../../../scripts/testing/chance.ts";
import { until } from "../../../scripts/testing/until.ts";
import { serve } from "./http.ts";

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

const VISITORS = isLong ? 10_000 : 2_000;

/**
 * Thousands of subscribers that come and leave through Koa, half of them while their subscribe is under way:
 * in the end there are as many wire subscriptions as before, and the heap is as it was.
 *
 * @returns How many wire subscriptions that are.
 */
export async function comeAndLeave(bus: Bus, wire: () => Promise<number>): Promise<number> {
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
  await using served = await serve(app);
  const port = Number(new URL(served.url).port);

  const visitAll = async (visitors: number) => {
    for (let first = 0; first < visitors; first += 200) {
      await Promise.all(
        Array.from({ length: 200 }, (_, n) => {
          const kind = ["plain", "plain.*", "kept.a", "kept.>"][n % 4] ?? "plain";
          const room = kind.startsWith("plain") ? `${(first + n) % 300}.${kind}` : kind;
          return visit(port, `/room.${room}`, LEAVES[(n >> 2) % 4] ?? "served");
        }),
      );
    }
    await until(() => expect(counts.unsubscribed).toBe(counts.subscribed));
  };
  await visitAll(1_000);
  const before = await wire();
  const heap = heapUsed();
  counts.endedMeanwhile = 0;
  await visitAll(VISITORS);
  expect(counts.served).toBeGreaterThan(VISITORS / 2);
  // All that were cut.
  expect(counts.endedMeanwhile).toBeGreaterThanOrEqual(VISITORS / 2);
  await until(async () => expect(await wire()).toBeLessThanOrEqual(before));
  expect(heapUsed() - heap).toBeLessThan(500 * VISITORS);
  return before;
}
