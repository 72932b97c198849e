import { Duplex } from "node:stream";
import type { Worker, World } from "../world.ts";
import { Wire } from "./wire.ts";

type Packet =
  | { readonly bytes: Buffer; readonly arrived: () => void }
  /** The other side sends nothing more. */
  | "end"
  /** The other side has closed, whatever it was sent. */
  | "reset";

/** One side of a TCP connection, as Node's HTTP and ws use one. A write is done when it has arrived. */
class Socket extends Duplex {
  bytesRead = 0;
  readonly remoteAddress = "127.0.0.1";
  readonly #send: (packet: Packet) => void;
  readonly #drop: () => void;

  /** @param drop - Takes back what is on its way to the other side. */
  constructor(send: (packet: Packet) => void, drop: () => void) {
    super({ allowHalfOpen: true });
    this.#send = send;
    this.#drop = drop;
  }

  receive(packet: Packet): void {
    if (this.destroyed) return;
    if (packet === "reset") this.destroy(Object.assign(new Error("reset"), { code: "ECONNRESET" }));
    else if (packet === "end") this.push(null);
    else {
      this.bytesRead += packet.bytes.length;
      this.push(packet.bytes);
      packet.arrived();
    }
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#send({ bytes: Buffer.from(chunk), arrived: done });
  }

  override _writev(chunks: { readonly chunk: Buffer }[], done: () => void): void {
    this.#send({ bytes: Buffer.concat(chunks.map((it) => it.chunk)), arrived: done });
  }

  override _final(done: () => void): void {
    this.#send("end");
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#send("reset");
    done(error);
  }

  resetAndDestroy(): void {
    this.#drop();
    this.destroy();
  }

  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  setTimeout(): this {
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}

export interface Connection {
  readonly wire: Wire<Packet>;
  readonly to: Worker;
  readonly near: Duplex;
  readonly far: Duplex;
}

/** Connects two processes by a stream of bytes. */
export function connectionBetween(world: World, near: Worker, far: Worker): Connection {
  const sockets = [
    new Socket(
      (packet) => wire.send(1, packet),
      () => wire.drop(1),
    ),
    new Socket(
      (packet) => wire.send(0, packet),
      () => wire.drop(0),
    ),
  ] as const;
  const endOf = (socket: Socket, worker: Worker) => ({
    worker,
    receive: (packet: Packet) => socket.receive(packet),
    lost: () => socket.receive("reset"),
  });
  const wire: Wire<Packet> = new Wire(world, `the line of ${near.name} and ${far.name}`, [
    endOf(sockets[0], near),
    endOf(sockets[1], far),
  ]);
  // Unheard, a reset would end this program.
  for (const socket of sockets) socket.on("error", () => {});
  return { wire, to: far, near: sockets[0], far: sockets[1] };
}
