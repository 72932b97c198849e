import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A way to a server on loopback that can be cut, while the server itself goes on. */
export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** Breaks every connection and lets none through. */
  cut(): void;
  mend(): void;
  /** From the next client's message that matches, until it is cut, nothing of the server arrives. */
  swallowAfter: RegExp | undefined;
  readonly isSwallowing: boolean;
  /** As `swallowAfter`, but what the server sends is kept until `release`. */
  holdAfter: RegExp | undefined;
  readonly isHolding: boolean;
  release(): void;
  /** Breaks every connection once, when so many more chunks have arrived from either side. */
  cutAfter: number | undefined;
}

export async function startProxy(target: number): Promise<Proxy> {
  const sockets = new Set<Socket>();
  let isCut = false;
  let isSwallowing = false;
  let held: (() => void)[] | undefined;
  const countChunk = () => {
    if (proxy.cutAfter === undefined) return;
    proxy.cutAfter -= 1;
    if (proxy.cutAfter > 0) return;
    proxy.cutAfter = undefined;
    for (const socket of sockets) socket.destroy();
  };
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
    return socket;
  };
  const server = createServer((client) => {
    if (isCut) return void client.destroy();
    const upstream = keep(connect(target, "127.0.0.1"));
    keep(client).on("data", (chunk) => {
      const text = chunk.toString("latin1");
      if (proxy.swallowAfter?.test(text)) isSwallowing = true;
      if (proxy.holdAfter?.test(text)) held ??= [];
      upstream.write(chunk);
      countChunk();
    });
    upstream.on("data", (chunk) => {
      if (held) held.push(() => client.write(chunk));
      else if (!isSwallowing) client.write(chunk);
      countChunk();
    });
    client.once("close", () => upstream.destroy());
    upstream.once("close", () => client.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const proxy: Proxy = {
    swallowAfter: undefined,
    holdAfter: undefined,
    cutAfter: undefined,
    get isHolding() {
      return held !== undefined;
    },
    release() {
      const waiting = held ?? [];
      held = undefined;
      proxy.holdAfter = undefined;
      for (const write of waiting) write();
    },
    get isSwallowing() {
      return isSwallowing;
    },
    port: (server.address() as AddressInfo).port,
    cut() {
      isCut = true;
      isSwallowing = false;
      proxy.swallowAfter = undefined;
      for (const socket of sockets) socket.destroy();
    },
    mend() {
      isCut = false;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
  return proxy;
}
