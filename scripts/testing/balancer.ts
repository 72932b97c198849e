import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** The way from browsers to the processes, in turn: it can be cut and stalled. */
export async function startBalancer(ports: () => number[]) {
  const sockets = new Set<Socket>();
  let next = 0;
  let isStalled = false;
  const server = createServer((client) => {
    const up = ports();
    const upstream = connect(up[next++ % Math.max(1, up.length)] ?? 1, "127.0.0.1");
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
      one.pipe(other);
      if (isStalled) one.pause();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      for (const it of sockets) it.destroy();
    },
    stall(isOn: boolean) {
      isStalled = isOn;
      for (const it of sockets) {
        if (isOn) it.pause();
        else it.resume();
      }
    },
    async stop() {
      server.close();
      for (const it of sockets) it.destroy();
    },
  };
}
