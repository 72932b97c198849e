import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface Silencer extends AsyncDisposable {
  readonly port: number;
  /** Whether replies of the server are lost. */
  isSilent: boolean;
  /** Cuts all connections. Replies are let through again, on new ones only. */
  cut(): void;
}

/** A way to the server that loses replies while it is told to, and then cuts its connections. */
export async function startSilencer(target: number): Promise<Silencer> {
  const sockets = new Set<Socket>();
  const silencer = {
    port: 0,
    isSilent: false,
    /** Replies are let through again, on new connections only. */
    cut() {
      silencer.isSilent = false;
      for (const socket of sockets) socket.destroy();
    },
    async [Symbol.asyncDispose]() {
      silencer.cut();
      proxy.close();
      await once(proxy, "close");
    },
  };
  const proxy = createServer((client) => {
    const upstream = connect(target, "127.0.0.1");
    client.on("data", (chunk) => upstream.write(chunk));
    upstream.on("data", (chunk) => silencer.isSilent || client.write(chunk));
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one.on("error", () => {});
      one.once("close", () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  silencer.port = (proxy.address() as AddressInfo).port;
  return silencer;
}
