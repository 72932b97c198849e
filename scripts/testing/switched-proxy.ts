import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A way to a server on loopback that can be cut and healed. */
export interface SwitchedProxy extends AsyncDisposable {
  readonly port: number;
  /** Breaks all connections, and every new one at once. */
  cut(): void;
  heal(): void;
}

export async function startSwitchedProxy(target: number): Promise<SwitchedProxy> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const keep = (socket: Socket, other: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => {
      sockets.delete(socket);
      other.destroy();
    });
  };
  const proxy = createServer((client) => {
    if (isCut) {
      client.on("error", () => {});
      client.destroy();
      return;
    }
    const server = connect(target, "127.0.0.1");
    keep(client, server);
    keep(server, client);
    client.pipe(server).pipe(client);
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const breakAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (proxy.address() as AddressInfo).port,
    cut() {
      isCut = true;
      breakAll();
    },
    heal() {
      isCut = false;
    },
    async [Symbol.asyncDispose]() {
      breakAll();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}
