import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** What becomes of a command, or of the answer to it. */
export type Fate =
  /** The connection breaks before the server has the command. */
  | "unsent"
  /** The connection breaks when the server has answered, and nothing of it is passed on. */
  | "cut"
  /** It is held back until `release`, and then passed on. */
  | "late";

/** A way to a server on loopback that loses, or holds back, the answer to a chosen command. */
export interface CuttingProxy extends AsyncDisposable {
  readonly port: number;
  /** The port to which new connections lead; those that there are stay. */
  target: number;
  /** From now on the answer to the nth command (from 1) meets its fate. `undefined`: all is well. */
  arm(n: number, fate: Fate): void;
  /** Whether the command has come that was waited for. */
  readonly isDone: boolean;
  disarm(): void;
  /** Holds back every answer until `release`. */
  hold(): void;
  /** Passes on what is held back. */
  release(): void;
  /** Breaks all connections. New ones are refused until `heal`. */
  sever(): void;
  heal(): void;
}

export interface CuttingProxyOptions {
  readonly target: number;
  /** Whether what a client has sent is a command that counts. */
  readonly isCommand: (chunk: Buffer) => boolean;
}

export async function startCuttingProxy(options: CuttingProxyOptions): Promise<CuttingProxy> {
  const { isCommand } = options;
  const pairs = new Set<() => void>();
  let armed: { left: number; readonly fate: Fate } | undefined;
  let isSevered = false;
  let isHolding = false;
  let held: (() => void)[] = [];

  const server = createServer((client) => {
    const upstream = connect(proxy.target, "127.0.0.1");
    const end = () => {
      client.destroy();
      upstream.destroy();
      pairs.delete(end);
    };
    pairs.add(end);
    for (const socket of [client, upstream] satisfies Socket[]) {
      socket.on("error", () => {});
      socket.once("close", end);
    }
    if (isSevered) return end();
    let fate: Fate | undefined;
    let waiting: Buffer[] | undefined;
    client.on("data", (chunk) => {
      if (armed && isCommand(chunk)) {
        armed.left -= 1;
        if (armed.left === 0) {
          fate = armed.fate;
          armed = undefined;
          proxy.isDone = true;
        }
      }
      if (fate === "unsent") return end();
      upstream.write(chunk);
    });
    upstream.on("data", (chunk) => {
      if (fate === "cut") return end();
      if (fate === "late" && waiting === undefined) {
        waiting = [];
        held.push(() => {
          for (const late of waiting ?? []) client.write(late);
          fate = undefined;
          waiting = undefined;
        });
      }
      if (waiting) waiting.push(chunk);
      else if (isHolding) held.push(() => client.write(chunk));
      else client.write(chunk);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  const proxy = {
    port: (server.address() as AddressInfo).port,
    target: options.target,
    isDone: false,
    arm(n: number, fate: Fate) {
      armed = { left: n, fate };
      proxy.isDone = false;
    },
    disarm() {
      armed = undefined;
    },
    hold() {
      isHolding = true;
    },
    release() {
      isHolding = false;
      for (const pass of held) pass();
      held = [];
    },
    sever() {
      isSevered = true;
      for (const end of pairs) end();
    },
    heal() {
      isSevered = false;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      for (const end of pairs) end();
      await once(server, "close");
    },
  };
  return proxy;
}
