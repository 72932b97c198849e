import { createParser, type EventSourceMessage } from "eventsource-parser";

/** A page that is open: what its event stream has shown. */
export interface Visitor {
  readonly events: EventSourceMessage[];
  /** The texts, when there are `count` of them. */
  texts(count: number): Promise<string[]>;
  leave(): void;
}

export async function visit(url: string, lastEventId?: string): Promise<Visitor> {
  const controller = new AbortController();
  const { body } = await fetch(url, {
    signal: controller.signal,
    headers: {
      accept: "text/event-stream",
      ...(lastEventId !== undefined && { "last-event-id": lastEventId }),
    },
  });
  const events: EventSourceMessage[] = [];
  let arrived = Promise.withResolvers<void>();
  const parser = createParser({
    onEvent(event) {
      events.push(event);
      arrived.resolve();
      arrived = Promise.withResolvers();
    },
  });
  const reading = async () => {
    for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) parser.feed(chunk);
  };
  reading().catch(() => {});
  return {
    events,
    async texts(count) {
      while (events.length < count) await arrived.promise;
      return events.map(({ data }) => JSON.parse(data).text);
    },
    leave: () => controller.abort(),
  };
}

export const write = (url: string, text: string, from = "ada"): Promise<Response> =>
  fetch(url, { method: "POST", body: new URLSearchParams({ from, text }), redirect: "manual" });
