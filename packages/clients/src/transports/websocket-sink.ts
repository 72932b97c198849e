import type { EndReason } from "../end-reason.ts";
import type { Listener } from "../listener.ts";
import type { LiveSocket } from "./context.ts";
import type { Inbound, OutgoingMessage, Sink } from "./sink.ts";

/** The plain wire of a WebSocket: texts of `{ "event", "data" }`, both ways. */
export class WebSocketSink implements Sink {
  readonly #socket: LiveSocket;

  constructor(socket: LiveSocket) {
    this.#socket = socket;
  }

  begin(_listener: Listener, inbound: Inbound): void {
    this.#socket.on("message", (data, isBinary) => {
      if (isBinary) inbound.refuse();
      else inbound.receive(String(data));
    });
  }

  pause(isPaused: boolean): void {
    if (isPaused) this.#socket.pause();
    else this.#socket.resume();
  }

  send({ shared }: OutgoingMessage): void | Promise<void> {
    if (!this.#socket.sendShared(shared)) return this.#socket.drained();
  }

  drain(reason: EndReason, code: number): Promise<void> {
    return this.#socket.finish(code, reason);
  }

  end(reason: EndReason, code: number): void {
    // The client's close frame must come through.
    this.#socket.resume();
    if (reason !== "left") this.#socket.close(code, reason);
  }
}
