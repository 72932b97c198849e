import { comesBack } from "./end-reason.ts";
import type { OutgoingMessage, Sink } from "./listener.ts";
import type { LiveStream } from "./transports.ts";

/** The id of the last event of a stream that should not be asked for again. */
export const ENDED = "ended";

/** After how long a browser comes back, in milliseconds: not all at once. */
const RETRY = [1_000, 5_000] as const;

/**
 * Server-sent events. A browser connects again whenever a stream ends, so one that should not is
 * told by the last event's id, which it then sends: it is answered 204, and stops.
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
