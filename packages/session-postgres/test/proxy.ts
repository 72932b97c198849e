import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** Stands between a client and a server, and can break their talk at a chosen place. */
export interface CuttingProxy extends AsyncDisposable {
  readonly port: number;
  /**
   * Breaks every connection at the next thing the client says: before the server hears it
   * (`request`), when the server has answered and nothing of it was passed on (`reply`), or after
   * the first bytes of the answer (`half`). Then all is passed on again.
   */
  cut(where: "request" | "reply" | "half"): void;
}

export async function startProxy(port: number): Promise<CuttingProxy> {
  let cut: "request" | "reply" | "half" | undefined;
  const open = new Set<Socket>();
  const breakAll = () => {
    cut = undefined;
    for (const socket of open) socket.destroy();
  };

  const proxy = createServer((client) => {
    const server = connect(port, "127.0.0.1");
    for (const socket of [client, server]) {
      open.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => {
        open.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    let asked = false;
    client.on("data", (chunk) => {
      asked = cut !== undefined;
      if (cut === "request") breakAll();
      else server.write(chunk);
    });
    server.on("data", (chunk) => {
      if (!asked || cut === undefined) client.write(chunk);
      else if (cut === "half") client.write(chunk.subarray(0, 3), breakAll);
      else breakAll();
    });
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return {
    port: (proxy.address() as AddressInfo).port,
    cut(where) {
      cut = where;
    },
    async [Symbol.asyncDispose]() {
      breakAll();
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}
