import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** The lines of a WebSocket's handshake, with headers changed or, by `undefined`, left out. */
export const handshake = (
  path = "/",
  headers: Readonly<Record<string, string | undefined>> = {},
  method = "GET",
): string => {
  const all = {
    Host: "127.0.0.1",
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  );
  return `${method} ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
};

/** One frame of a client (RFC 6455, 5.2), masked with zeros. */
export function frame(payload: string | Buffer, opcode = 0x1): Buffer {
  const data = Buffer.from(payload);
  const size =
    data.length < 126
      ? Buffer.of(0x80 | data.length)
      : Buffer.of(0xfe, data.length >> 8, data.length);
  return Buffer.concat([Buffer.of(0x80 | opcode), size, Buffer.alloc(4), data]);
}

/** A client that does nothing by itself: no pong, no close frame. */
export class RawClient implements Disposable {
  readonly socket: Socket;
  /** What has come, byte by byte. */
  received = "";
  readonly closed: Promise<unknown>;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      this.received += chunk.toString("latin1");
    });
    this.closed = new Promise((resolve) => socket.once("close", resolve));
  }

  static async to(port: number): Promise<RawClient> {
    const socket = connect(port, "127.0.0.1");
    const client = new RawClient(socket);
    await once(socket, "connect");
    return client;
  }

  /** Waits until the text has come. */
  async until(text: string): Promise<void> {
    while (!this.received.includes(text)) {
      if (this.socket.destroyed) throw new Error(`closed before "${text}": ${this.received}`);
      await Promise.race([once(this.socket, "data"), this.closed]);
    }
  }

  get status(): number {
    return Number(/^HTTP\/1\.1 (\d+)/.exec(this.received)?.[1]);
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}
