import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { Random } from "./chance.ts";

/** A way to a server on loopback on which no connection lasts. */
export interface RaggedProxy extends AsyncDisposable {
  readonly port: number;
  /** How many connections were broken. */
  readonly broken: number;
  /** From now on connections last. */
  calm(): void;
}

export interface RaggedProxyOptions {
  readonly target: number;
  readonly random: Random;
  /** What the server might say of itself before it ends a connection. */
  readonly farewell: Buffer;
}

/**
 * Breaks each connection at a random place of what the server sends, or at a random moment: in the
 * greeting, in the packet that makes it ready, in a reply or between two. By an end, by a reset, or
 * after a farewell.
 */
export async function startRaggedProxy(options: RaggedProxyOptions): Promise<RaggedProxy> {
  const { target, random, farewell } = options;
  const sockets = new Set<Socket>();
  let isCalm = false;
  let broken = 0;
  const keep = (socket: Socket, onClose: () => void) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => {
      sockets.delete(socket);
      onClose();
    });
  };
  const server = createServer((client) => {
    const end = (mayFarewell: boolean) => {
      if (client.destroyed || client.writableEnded) return;
      broken += 1;
      const how = random(3);
      if (how === 0) client.resetAndDestroy();
      else if (how === 1 && mayFarewell) client.end(farewell);
      else client.end();
      upstream?.destroy();
    };
    const upstream = isCalm || random(8) > 0 ? connect(target, "127.0.0.1") : undefined;
    keep(client, () => upstream?.destroy());
    if (!upstream) return end(true);
    keep(upstream, () => client.destroy());
    // Most of what goes wrong does so in the first bytes.
    let left = isCalm ? Infinity : random([60, 600, 6_000][random(3)] as number);
    if (!isCalm) setTimeout(end, random(200), true).unref();
    client.on("data", (chunk) => upstream.write(chunk));
    upstream.on("data", (chunk) => {
      if (client.writableEnded) return;
      left -= chunk.length;
      if (left > 0) return void client.write(chunk);
      const isWhole = random(2) === 0;
      client.write(isWhole ? chunk : chunk.subarray(0, chunk.length + left));
      end(isWhole);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    get broken() {
      return broken;
    },
    calm() {
      isCalm = true;
      for (const socket of sockets) socket.destroy();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
