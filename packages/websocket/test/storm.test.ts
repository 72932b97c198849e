import { randomInt } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import Koa from "koa";
import { expect, test } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { frame, handshake, RawClient } from "./raw-client.ts";
import { siteOf } from "./site.ts";

/** Mulberry32. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const seed = Number(process.env.SEED ?? randomInt(2 ** 31));

test(`400 clients that do what they like, at any moment, leave nothing behind (seed ${seed})`, async () => {
  const random = generator(seed);
  const turns = async (most: number) => {
    for (let turn = random(most); turn > 0; turn--) await nextTurn();
  };
  const app = new Koa();
  app.use(async (ctx) => {
    await turns(20);
    if (ctx.path === "/refused") ctx.throw(403);
    if (ctx.path === "/failing") throw Object.assign(new Error("app"), { code: "APP" });
    const socket = await ctx.upgrade();
    await turns(5);
    socket.on("message", (data) => {
      socket.send(String(data).repeat(1 + random(1_000)));
      if (random(5) === 0) socket.close(4000);
      if (random(20) === 0) throw Object.assign(new Error("app"), { code: "APP" });
    });
    if (random(10) === 0) throw Object.assign(new Error("app"), { code: "APP" });
  });
  app.silent = true;
  await using site = await siteOf(app, { maxPayload: 1_000, handshakeTimeout: 60_000 });

  const visit = async () => {
    const client = await RawClient.to(site.port);
    const path = ["/", "/", "/", "/refused", "/failing"][random(5)];
    const head = handshake(path, random(10) === 0 ? { "Sec-WebSocket-Key": "short" } : {});
    client.socket.write(random(5) === 0 ? head.slice(0, random(head.length)) : head);
    for (let n = random(5); n > 0; n--) {
      await turns(10);
      const garbage = Buffer.from(Array.from({ length: random(50) }, () => random(256)));
      if (!client.socket.destroyed) client.socket.write(random(3) === 0 ? garbage : frame("text"));
    }
    await turns(30);
    if (random(2) === 0) client.socket.resetAndDestroy();
    else client.socket.end();
    client.socket.resume();
    await turns(10);
    client.socket.destroy();
    await client.closed;
  };
  for (let round = 0; round < 8; round++) {
    await Promise.all(Array.from({ length: 50 }, visit));
  }

  await until(() => expect(site.upgrades.sockets.size).toBe(0));
  const open = () =>
    new Promise((resolve) => site.server.getConnections((_, count) => resolve(count)));
  await until(async () => expect(await open()).toBe(0));
  const codes = new Set(site.errors.map((it) => (it as { code?: string }).code));
  const known = [undefined, "APP", "ECONNRESET", "EPIPE", "ERR_WEBSOCKET_GONE"];
  expect([...codes].filter((code) => !known.includes(code))).toEqual([]);
});
