import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** How a connection breaks at the next script that is sent over it. */
export type Fault =
  /** The script arrives by half, and so is never run. */
  | "half a command"
  /** The script is run, and its reply lost. */
  | "no reply"
  /** The script is run, and its reply arrives by half. */
  | "half a reply"
  /** The script is run, and its reply held back until the server ends. */
  | "a late reply";

/** Those that break the connection. */
export const CUTS: readonly Fault[] = ["half a command", "no reply", "half a reply"];

export interface BreakableProxy extends AsyncDisposable {
  readonly port: number;
  /** How many scripts were sent through it. */
  scripts: number;
  /** How many replies are held back. */
  late: number;
  /** What happens to the next script; afterwards all is well again. */
  fault: Fault | undefined;
}

/** A way to a server on loopback that breaks where it is told to. */
export async function startProxy(target: number): Promise<BreakableProxy> {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
    return socket;
  };
  const server = createServer((client) => {
    keep(client);
    const upstream = keep(connect(target, "127.0.0.1"));
    let cut: Fault | undefined;
    client.on("data", (chunk) => {
      if (!/EVAL/i.test(chunk.toString("latin1"))) return void upstream.write(chunk);
      proxy.scripts += 1;
      cut = proxy.fault;
      proxy.fault = undefined;
      if (cut !== "half a command") return void upstream.write(chunk);
      upstream.end(chunk.subarray(0, chunk.length / 2));
      client.destroy();
    });
    upstream.on("data", (chunk) => {
      if (cut === undefined) return void client.write(chunk);
      if (cut === "a late reply") {
        proxy.late += 1;
        return;
      }
      if (cut === "half a reply") client.end(chunk.subarray(0, chunk.length / 2));
      else client.destroy();
      upstream.destroy();
    });
    client.once("close", () => upstream.end());
    upstream.once("close", () => client.end());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const proxy: BreakableProxy = {
    port: (server.address() as AddressInfo).port,
    scripts: 0,
    late: 0,
    fault: undefined,
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
  return proxy;
}
