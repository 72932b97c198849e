import { comesBack } from "../end-reason.ts";
import type { LiveStream } from "./context.ts";
import type { OutgoingMessage, Sink } from "./sink.ts";

/** The id of the last event of a stream that should not be opened again. */
export const ENDED = "ended";

/** The shortest and the longest time until a browser reconnects, in milliseconds. */
const RETRY = [1_000, 5_000] as const;

/**
 * Returns a sink of server-sent events. A browser reconnects whenever a stream ends. One that should not
 * receives a last event with an id that it then sends back: the response is a 204, and it stops.
 */
export function eventStreamSink(stream: LiveStream): Sink {
  return {
    send({ event, json }: OutgoingMessage) {
      if (!stream.send({ event, data: json })) return stream.drained();
    },

    end(reason) {
      if (comesBack(reason)) {
        const [least, most] = RETRY;
        stream.end({ retry: least + Math.round(Math.random() * (most - least)) });
        return;
      }
      stream.send({ id: ENDED, event: "session", data: JSON.stringify({ ended: reason }) });
      stream.end();
    },
  };
}
