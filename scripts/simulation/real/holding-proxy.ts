import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** How a protocol's bytes are parted. Each length is 0 if the message isn't whole yet. */
export interface Framing {
  /** Returns the length of the first request in what a client has sent; `isFirst` of its connection. */
  requestLength(bytes: Buffer, isFirst: boolean): number;
  /** Returns the length of the answer to one request. */
  answerLength(bytes: Buffer): number;
  /** Whether a request waits to be let through. */
  isHeld(request: Buffer): boolean;
}

/** A request that the proxy holds, and its answer. */
export interface Exchange {
  readonly request: Buffer;
  /** Lets the request through, and resolves to the server's answer, which the proxy holds. */
  apply(): Promise<Buffer>;
  /** Lets the answer through. */
  answer(): void;
}

/** A worker's way to a server on loopback, on which each request and each answer waits for its turn. */
export interface HoldingProxy extends AsyncDisposable {
  readonly port: number;
  /** Resolves to the next request that the proxy holds. */
  next(): Promise<Exchange>;
  /** Breaks all connections for the client. What is `late` can still be let through, and nothing else. */
  cut(late: readonly Exchange[]): void;
}

interface Passing {
  readonly request: Buffer;
  maySend: boolean;
  mayAnswer: boolean;
  isSent: boolean;
  answer: Buffer | undefined;
  onAnswer: (answer: Buffer) => void;
}

/** Splits what a stream brings into messages. */
function messages(lengthOf: (bytes: Buffer) => number, take: (message: Buffer) => void) {
  let rest = Buffer.alloc(0);
  return (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    for (let length = lengthOf(rest); length > 0; length = lengthOf(rest)) {
      const message = rest.subarray(0, length);
      rest = rest.subarray(length);
      take(message);
    }
  };
}

export async function startHoldingProxy(target: number, framing: Framing): Promise<HoldingProxy> {
  const connections = new Set<Held>();
  const arrived: Exchange[] = [];
  const awaited: ((exchange: Exchange) => void)[] = [];
  const arrive = (exchange: Exchange): void => {
    const resolve = awaited.shift();
    if (resolve) resolve(exchange);
    else arrived.push(exchange);
  };
  const server = createServer((client) => {
    const held = new Held(client, connect(target, "127.0.0.1"), framing, arrive);
    connections.add(held);
    held.onClose = () => connections.delete(held);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    next() {
      const exchange = arrived.shift();
      return exchange ? Promise.resolve(exchange) : new Promise((resolve) => awaited.push(resolve));
    },
    cut(late) {
      for (const held of connections) held.cut(late);
    },
    async [Symbol.asyncDispose]() {
      for (const held of connections) held.end();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** One connection. What isn't held passes in its turn, after what is held before it. */
class Held {
  readonly #client: Socket;
  readonly #upstream: Socket;
  readonly #exchanges = new Map<Exchange, Passing>();
  #passing: Passing[] = [];
  onClose: () => void = () => {};

  constructor(
    client: Socket,
    upstream: Socket,
    framing: Framing,
    arrive: (exchange: Exchange) => void,
  ) {
    this.#client = client;
    this.#upstream = upstream;
    let isFirst = true;
    const takeRequest = (request: Buffer): void => {
      const isHeld = !isFirst && framing.isHeld(request);
      isFirst = false;
      const flags = { maySend: !isHeld, mayAnswer: !isHeld, isSent: false };
      const passing: Passing = { request, ...flags, answer: undefined, onAnswer: () => {} };
      this.#passing.push(passing);
      if (isHeld) arrive(this.#exchange(passing));
      this.#pump();
    };
    const takeAnswer = (answer: Buffer): void => {
      const passing = this.#passing.find((it) => it.isSent && !it.answer);
      if (!passing) return;
      passing.answer = answer;
      passing.onAnswer(answer);
      this.#pump();
    };
    client.on(
      "data",
      messages((bytes) => framing.requestLength(bytes, isFirst), takeRequest),
    );
    upstream.on("data", messages(framing.answerLength, takeAnswer));
    for (const socket of [client, upstream]) {
      socket.on("error", () => {});
      socket.setNoDelay(true);
    }
    // A client that ends by itself has nothing under way.
    client.once("close", () => {
      if (this.#exchanges.size === 0 || this.#passing.every((it) => it.answer)) upstream.end();
    });
    upstream.once("close", () => {
      client.destroy();
      this.onClose();
    });
  }

  #exchange(passing: Passing): Exchange {
    const exchange: Exchange = {
      request: passing.request,
      apply: () => {
        passing.maySend = true;
        const answered = new Promise<Buffer>((resolve) => {
          passing.onAnswer = resolve;
        });
        this.#pump();
        return answered;
      },
      answer: () => {
        passing.mayAnswer = true;
        this.#pump();
      },
    };
    this.#exchanges.set(exchange, passing);
    return exchange;
  }

  /** Lets through what may pass and has nothing before it that may not. */
  #pump(): void {
    for (const it of this.#passing) {
      if (!it.maySend) break;
      if (!it.isSent) this.#upstream.write(it.request);
      it.isSent = true;
    }
    while (this.#passing[0]?.mayAnswer && this.#passing[0].answer) {
      this.#client.write(this.#passing.shift()?.answer as Buffer);
    }
  }

  cut(late: readonly Exchange[]): void {
    if (this.#client.destroyed) return;
    this.#client.destroy();
    const kept = late.map((it) => this.#exchanges.get(it)).filter((it) => it !== undefined);
    this.#passing = this.#passing.filter((it) => it.isSent || kept.includes(it));
    if (kept.length === 0) this.#upstream.destroy();
  }

  end(): void {
    this.#client.destroy();
    this.#upstream.destroy();
  }
}
