import type { Frame } from "./frame.ts";

/** The connection of a page, whatever it is made of. */
export interface Link {
  /** @returns Whether there is room for more. */
  send(frame: Frame): boolean;
  /** Resolves when there is room again, or the connection has ended. */
  drained(): Promise<void>;
  close(code: number, reason: string): void;
  /** Ends it at once: what is on its way to the page is dropped where that can be. */
  cut(): void;
}

/** The part of a socket of `@lanai/websocket` that is used here. */
export interface LinkedSocket {
  readonly protocol: string;
  send(data: Buffer, options: { readonly binary: false }): boolean;
  drained(): Promise<void>;
  on(event: "message", listener: (data: unknown, isBinary: boolean) => void): unknown;
  close(code: number, reason: string): void;
  terminate(): void;
}

/** The part of an underlying connection that is used to end it. */
export interface Underlying {
  cork(): void;
  uncork(): void;
  resetAndDestroy?(): unknown;
  destroy(): unknown;
}

/** A reset drops what the kernel would still send. TLS has none. */
function cut(underlying: Underlying): void {
  try {
    if (underlying.resetAndDestroy) underlying.resetAndDestroy();
    else underlying.destroy();
  } catch {
    underlying.destroy();
  }
}

const TEXT = { binary: false } as const;

const corked = new Set<Underlying>();

function uncork(): void {
  for (const it of corked) it.uncork();
  corked.clear();
}

/** Passes all writes of one turn of the event loop to the kernel in one call. */
function gather(underlying: Underlying): void {
  if (corked.has(underlying)) return;
  if (corked.size === 0) setImmediate(uncork);
  corked.add(underlying);
  underlying.cork();
}

/** The link of a WebSocket. */
export class SocketLink implements Link {
  readonly socket: LinkedSocket;
  readonly #underlying: Underlying;

  constructor(socket: LinkedSocket, underlying: Underlying) {
    this.socket = socket;
    this.#underlying = underlying;
  }

  send({ bytes }: Frame): boolean {
    gather(this.#underlying);
    return this.socket.send(bytes, TEXT);
  }

  drained(): Promise<void> {
    return this.socket.drained();
  }

  close(code: number, reason: string): void {
    this.socket.close(code, reason);
  }

  cut(): void {
    cut(this.#underlying);
  }
}

/** The part of a stream of `@lanai/sse` that is used here. */
export interface LinkedStream {
  send(event: { readonly event?: string; readonly data: string }): boolean;
  drained(): Promise<void>;
  end(): void;
}

/** The link of an event stream, which has no close codes: the last event says which it would be. */
export class StreamLink implements Link {
  readonly stream: LinkedStream;
  readonly #underlying: Underlying;

  constructor(stream: LinkedStream, underlying: Underlying) {
    this.stream = stream;
    this.#underlying = underlying;
  }

  send({ text }: Frame): boolean {
    return this.stream.send({ data: text });
  }

  drained(): Promise<void> {
    return this.stream.drained();
  }

  close(code: number): void {
    this.stream.send({ event: "close", data: String(code) });
    this.stream.end();
  }

  cut(): void {
    cut(this.#underlying);
  }
}
