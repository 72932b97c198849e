import type { Listener, LocalListener, OutgoingMessage, Sink } from "./listener.ts";
import { parseMessage } from "./message.ts";
import type { LiveSocket } from "./transports.ts";

/**
 * The plain wire: texts of `{ "event", "data" }`, both ways. `session` is the browser's word for its
 * token, and is answered alike.
 */
export function webSocketSink(socket: LiveSocket): Sink {
  return {
    begin(listener: Listener) {
      const local = listener as LocalListener;
      socket.on("message", (data, isBinary) => {
        local.receive(() => {
          const message = isBinary ? undefined : parseMessage(String(data));
          if (message === undefined) return local.end("malformed");
          if (message.event === "session") return void recognise(local, message.data);
          local.dispatch(message.event, message.data);
        });
      });
    },

    send({ frame }: OutgoingMessage) {
      if (!socket.send(frame)) return socket.drained();
    },

    end(reason, code) {
      if (reason !== "left") socket.close(code, reason);
    },
  };
}

/** What comes after a token is said by whom the token names. */
async function recognise(listener: LocalListener, data: unknown): Promise<void> {
  const token = (data as { token?: unknown } | null | undefined)?.token;
  if (token !== undefined && typeof token !== "string") return listener.end("malformed");
  listener.hold();
  const answer = await listener.recognise(token);
  listener.send("session", answer);
  listener.release();
}
