import type { EndReason, Listener, OutgoingMessage, Sink } from "@lanai/clients";
import { Connection, type ConnectionHost } from "./connection.ts";
import { Frame } from "./frame.ts";
import { Lines, sharedLink } from "./lines.ts";
import type { Link } from "./link.ts";

/** The connection of a page, as the listeners of `@lanai/clients` see it. */
export class PageSink<L extends Link> implements Sink {
  readonly link: L;
  #listener: Listener | undefined;
  #lines: Lines | undefined;

  constructor(link: L) {
    this.link = link;
  }

  /** Begins to speak with the page. What came before waits in the transport. */
  open(host: ConnectionHost, listener: Listener, confirms: boolean): void {
    const { link } = this;
    this.#listener = listener;
    this.#lines = new Lines((id) =>
      id === ""
        ? new Connection({ host, listener, link, confirms, id: listener.id })
        : new Connection({
            ...{ host, listener, confirms, link: sharedLink(link, id) },
            id: `${listener.id}.${id}`,
          }),
    );
  }

  /** @returns Whether it was a frame, and not too much; else the page is refused. */
  receive(text: string): boolean {
    if (this.#lines?.receive(text) ?? true) return true;
    this.refuse();
    return false;
  }

  refuse(): void {
    this.link.close(4400, "malformed");
    this.#listener?.disconnect();
  }

  send({ event, json }: OutgoingMessage): void | Promise<void> {
    const frame = new Frame(`{"t":"message","e":${JSON.stringify(event)},"d":${json}}`);
    if (!this.link.send(frame)) return this.link.drained();
  }

  end(reason: EndReason, code: number): void {
    this.#lines?.end();
    if (reason !== "left") this.link.close(code, reason);
  }
}

/** A function of its own, so that the socket's listener refers to the sink alone. */
export function readSocket(
  socket: { on(name: "message", fn: (data: unknown, isBinary: boolean) => void): unknown },
  sink: PageSink<Link>,
): void {
  socket.on("message", (data, isBinary) => {
    if (isBinary) sink.refuse();
    else sink.receive(String(data));
  });
}
