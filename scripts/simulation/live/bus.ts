import type { Message, PubSub, Streams, SubscribeOptions } from "@lanai/pubsub";
import {
  bytesOf,
  closedError,
  Inbox,
  validateCall,
  validateHistory,
  validatePublish,
} from "@lanai/pubsub/backend";
import type { OnCut } from "../link.ts";
import type { Worker, World } from "../world.ts";
import { type Broker, placeOf, type Start } from "./broker.ts";
import { BusLine, unavailable } from "./line.ts";

/** How a worker is connected to the server of the bus. */
export interface BusLinks {
  readonly onCut: OnCut;
  /** One connection, as to NATS, or one for messages and one for commands, as to Redis. */
  readonly lines: 1 | 2;
}

interface Topic {
  readonly id: number;
  readonly inbox: Inbox;
  readonly options: SubscribeOptions;
  /** The stream that retains it; `undefined` for a plain subject. */
  stream: string | undefined;
  readonly first: PromiseWithResolvers<void>;
  isFirst: boolean;
  /** The newest attempt to subscribe it. */
  attempt: number;
}

/** The longest that a first subscription waits for the server, in milliseconds. */
const TIMEOUT = 3_000;

export interface LinkedBus extends PubSub, Streams {
  /** Breaks some of its connections. With `isUnaware` the worker notices it only after `ms`. */
  cut(which: "one" | "all" | "messages" | "commands", isUnaware: boolean, ms: number): void;
  /** For `ms` nothing is delivered that is retained. */
  stall(ms: number): void;
}

/**
 * A backend of pub/sub as one process of an app has it: the server is reached over connections that
 * break and come back. What a subscription is, its queue, its order and its gaps, is the project's own.
 */
export function linkedBus(
  world: World,
  worker: Worker,
  broker: Broker,
  { onCut, lines }: BusLinks,
): LinkedBus {
  const topics = new Map<number, Topic>();
  let lastTopic = 0;
  let lastPublish = 0;
  let isClosed = false;

  const push = (id: number, message: Message): void => {
    const { inbox } = topics.get(id) ?? {};
    const place = placeOf(message.id);
    inbox?.push(message, place?.stream, place?.position);
  };

  const onLost = (): void => {
    for (const { inbox } of topics.values()) {
      if (inbox.status === "syncing") inbox.forgetHeld();
      else inbox.sync();
    }
  };

  const onOpen = (): void => {
    for (const topic of topics.values()) void subscribe(topic);
  };

  const lineOf = (name: string, isForMessages: boolean): BusLine =>
    new BusLine({
      ...{ world, worker, broker, name, onCut, onMessage: push },
      onOpen: () => isForMessages && onOpen(),
      onLost: () => isForMessages && onLost(),
    });
  const messages = lineOf("the bus line", true);
  const commands = lines === 1 ? messages : lineOf("the other bus line", false);

  const sinceOf = ({ inbox, options, stream, isFirst }: Topic) => {
    if (isFirst) return { since: options.since, replay: options.replay ?? 0 };
    if (stream === undefined) return {};
    return { since: `${stream}.${inbox.position(stream)}`, replay: Infinity };
  };

  const subscribe = async (topic: Topic): Promise<void> => {
    const { id, inbox, options } = topic;
    topic.attempt += 1;
    const { attempt } = topic;
    try {
      const start = await messages.call(
        `subscribe ${inbox.subject}`,
        (session) => session.subscribe(id, inbox.subject, { ...options, ...sinceOf(topic) }),
        false,
      );
      if (topic.attempt === attempt && inbox.status !== "closed") begin(topic, start);
    } catch (error) {
      if ((error as { code?: unknown }).code === "ERR_PUBSUB_UNAVAILABLE") {
        // The line comes back, or it is only slow.
        if (messages.isOpen && topic.attempt === attempt && topics.has(id)) void subscribe(topic);
        return;
      }
      topic.first.reject(error);
    }
  };

  const begin = (topic: Topic, { past, cursor, recovered }: Start): void => {
    const { inbox, options, isFirst } = topic;
    const place = placeOf(cursor);
    if (isFirst) {
      if (options.since) inbox.recovered = recovered;
      if (recovered === false) inbox.gap("cursor");
      inbox.cursor = cursor;
    } else if (topic.stream === undefined) {
      inbox.gap("reconnect");
    } else if (recovered === false) {
      inbox.gap("expired");
    }
    topic.isFirst = false;
    topic.stream = place?.stream;
    if (place && inbox.position(place.stream) === undefined) {
      inbox.startAfter(place.stream, place.position);
    }
    for (const message of past) {
      const { stream, position } = placeOf(message.id) ?? {};
      inbox.replay(message, stream, position);
    }
    if (inbox.live()) topic.first.resolve();
    else void subscribe(topic);
  };

  const mustBeOpen = (): void => {
    if (isClosed) throw closedError();
  };

  return {
    async publish(subject, data, options = {}) {
      mustBeOpen();
      validatePublish(subject, data, options);
      const kept = typeof data === "string" ? data : new Uint8Array(bytesOf(data));
      lastPublish += 1;
      const operation = `${worker.name} ${lastPublish}`;
      await commands.call(`publish ${subject}`, () =>
        broker.publish(operation, subject, kept, options),
      );
    },
    async subscribe(subject, handler, options = {}) {
      mustBeOpen();
      validateCall(subject, "subscribe", options);
      lastTopic += 1;
      const id = lastTopic;
      const leave = async (): Promise<void> => {
        topics.delete(id);
        await messages
          .call(`unsubscribe ${subject}`, (session) => session.unsubscribe(id), false)
          .catch(() => {});
      };
      const inbox = new Inbox({ subject, handler, options, leave });
      if (inbox.status === "closed") return inbox;
      const first = Promise.withResolvers<void>();
      const topic: Topic = {
        ...{ id, inbox, options, first },
        ...{ stream: undefined, isFirst: true, attempt: 0 },
      };
      topics.set(id, topic);
      const timer = setTimeout(() => first.reject(unavailable()), TIMEOUT);
      if (messages.isOpen) void subscribe(topic);
      else if (onCut === "reject") first.reject(unavailable());
      try {
        await first.promise;
        return inbox;
      } catch (error) {
        void inbox.unsubscribe();
        throw error;
      } finally {
        clearTimeout(timer);
      }
    },
    async ensureStream(config) {
      mustBeOpen();
      await commands.call(`ensureStream ${config.name}`, () => broker.ensureStream(config));
    },
    async history(subject, limit, range = {}) {
      mustBeOpen();
      validateHistory(subject, limit, range);
      return commands.call(`history ${subject}`, () => broker.history(subject, limit, range));
    },
    async close() {
      isClosed = true;
      await Promise.all([...topics.values()].map(({ inbox }) => inbox.unsubscribe()));
      messages.close();
      commands.close();
    },
    stall: (ms) => messages.stall(ms),
    cut(which, isUnaware, ms) {
      const named = { messages, commands };
      const all = Object.values(named);
      const one = () =>
        which === "messages" || which === "commands" ? named[which] : world.pick(all);
      for (const line of which === "all" ? all : [one()]) line.cut(isUnaware, ms);
    },
  };
}
