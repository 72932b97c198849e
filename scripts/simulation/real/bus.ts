import type { Message, PubSub, Streams, SubscribeOptions, Subscription } from "@lanai/pubsub";
import { memoryPubSub } from "@lanai/pubsub";
import { randomFrom } from "../../testing/chance.ts";
import type { Fate } from "../../testing/cutting-proxy.ts";
import { until } from "../../testing/until.ts";

type Bus = PubSub & Streams;

/** One event. A message is known by its text, which is unique. */
export type BusStep =
  /** `fate`: the connection breaks before the broker has the message, or before it has answered. */
  | {
      readonly do: "publish";
      readonly subject: string;
      readonly text: string;
      readonly fate?: Fate;
    }
  | {
      readonly do: "subscribe";
      readonly subject: string;
      readonly since?: string;
      readonly replay?: number;
    }
  | {
      readonly do: "history";
      readonly subject: string;
      readonly limit: number;
      readonly since?: string;
    }
  /** The subscriber's connections break, and no new one comes about. */
  | { readonly do: "down" }
  | { readonly do: "up" };

/** What has been seen so far: a line for each subscription, and for each history. */
type Lines = readonly string[];

const PLAIN = "plain.a";
const KEPT = ["kept.a", "kept.b"] as const;
const MOST_SUBSCRIPTIONS = 4;

/** Returns the events of a seed. Its subjects are those of a stream, and a plain one. */
export function busStepsOf(seed: number): readonly BusStep[] {
  const random = randomFrom(seed);
  const pick = <T>(items: readonly T[]): T => items[random(items.length)] as T;
  const steps: BusStep[] = [];
  const kept: string[] = [];
  let isDown = false;
  let subscriptions = 0;
  const since = () => (kept.length > 0 && random(2) === 0 ? { since: pick(kept) } : {});
  for (let left = 12 + random(10); left > 0; left--) {
    const kind = random(10);
    if (kind < 2 && !isDown && subscriptions < MOST_SUBSCRIPTIONS) {
      subscriptions += 1;
      const subject = pick([PLAIN, ...KEPT, "kept.>"]);
      const from = random(2) === 0 ? since() : { replay: random(4) };
      steps.push({ do: "subscribe", subject, ...(subject !== PLAIN && from) });
    } else if (kind === 2) {
      isDown = !isDown;
      steps.push({ do: isDown ? "down" : "up" });
    } else if (kind === 3) {
      steps.push({
        do: "history",
        subject: pick([...KEPT, "kept.>"]),
        limit: 1 + random(5),
        ...since(),
      });
    } else {
      const subject = pick([PLAIN, ...KEPT]);
      const text = `m${steps.length}`;
      // Whether a plain message whose connection breaks comes is promised by nobody.
      const fate =
        subject === PLAIN ? undefined : pick([undefined, undefined, "unsent", "cut"] as const);
      if (subject !== PLAIN) kept.push(text);
      steps.push({ do: "publish", subject, text, ...(fate && { fate }) });
    }
  }
  if (isDown) steps.push({ do: "up" });
  // What comes after everything else shows that nothing else will come.
  for (const subject of [PLAIN, ...KEPT])
    steps.push({ do: "publish", subject, text: `last:${subject}` });
  return steps;
}

/** What steps are played on. */
interface Stage {
  readonly publisher: Bus;
  readonly subscriber: Bus;
  publish(text: string, fate: Fate | undefined, publish: () => Promise<void>): Promise<void>;
  down(subscribed: readonly Subscribed[]): Promise<void>;
  up(subscribed: readonly Subscribed[]): Promise<void>;
}

interface Subscribed {
  readonly subject: string;
  readonly seen: string[];
  readonly options: SubscribeOptions;
  readonly handle: (message: Message) => void;
  subscription: Subscription;
}

async function play(
  steps: readonly BusStep[],
  stage: Stage,
  tag: string,
  onStep: (lines: () => Lines) => Promise<void>,
): Promise<void> {
  const { publisher, subscriber } = stage;
  const inTag = (subject: string) => `${tag}.${subject}`;
  const stream = { name: tag, subjects: [inTag("kept.>")] };
  for (const bus of [publisher, subscriber]) await bus.ensureStream(stream);
  const ids = new Map<string, string | undefined>();
  const subscribed: Subscribed[] = [];
  const histories: string[] = [];
  const rangeOf = ({ since }: { readonly since?: string }) =>
    since ? { since: ids.get(since) } : {};
  const lines = (): Lines => [
    ...subscribed.map(({ subject, seen }) => `${subject}: ${seen.join(", ")}`),
    ...histories,
  ];

  for (const step of steps) {
    switch (step.do) {
      case "publish": {
        const { text, fate } = step;
        const subject = inTag(step.subject);
        const options = { messageId: `${tag}:${text}` };
        await stage.publish(text, fate, () => publisher.publish(subject, text, options));
        // Also so that a plain message has come to the broker before anything else happens.
        const [last] = await publisher.history(inTag("kept.>"), 1);
        if (step.subject !== PLAIN) ids.set(text, last?.id);
        break;
      }
      case "subscribe": {
        const seen: string[] = [];
        const handle = ({ data }: Message) => void seen.push(`${data}`);
        const { replay } = step;
        const options: SubscribeOptions = {
          ...rangeOf(step),
          ...(replay !== undefined && { replay }),
          onGap: ({ reason }) => void seen.push(`gap by ${reason}`),
        };
        const subject = inTag(step.subject);
        const subscription = await subscriber.subscribe(subject, handle, options);
        subscribed.push({ subject: step.subject, seen, options, handle, subscription });
        break;
      }
      case "history": {
        const found = await publisher.history(inTag(step.subject), step.limit, rangeOf(step));
        histories.push(`history of ${step.subject}: ${found.map(({ data }) => `${data}`)}`);
        break;
      }
      case "down":
        await stage.down(subscribed);
        break;
      case "up":
        await stage.up(subscribed);
    }
    await onStep(lines);
  }
}

/** @param isWrong - Whether what is sent again is stored again. */
export async function playBusModel(
  steps: readonly BusStep[],
  isWrong = false,
): Promise<readonly Lines[]> {
  const bus = memoryPubSub();
  const after: Lines[] = [];
  const stage: Stage = {
    publisher: bus,
    subscriber: bus,
    async publish(text, fate, publish) {
      await publish();
      if (isWrong && fate === "cut") await bus.publish("model.kept.a", text);
    },
    async down(subscribed) {
      for (const { subscription } of subscribed) await subscription.unsubscribe();
    },
    async up(subscribed) {
      for (const it of subscribed) {
        const { cursor, subject } = it.subscription;
        if (cursor === undefined) it.seen.push("gap by reconnect");
        const { onGap } = it.options;
        const since = cursor === undefined ? {} : { since: cursor };
        it.subscription = await bus.subscribe(subject, it.handle, {
          ...since,
          ...(onGap && { onGap }),
        });
      }
    },
  };
  await play(steps, stage, "model", async (lines) => {
    await new Promise((resolve) => setImmediate(resolve));
    after.push(lines());
  });
  await bus.close();
  return after;
}

/** A broker, with a way to it for who publishes and one for who subscribes. */
export interface RealBus extends Pick<Stage, "publisher" | "subscriber"> {
  lose(fate: Fate): void;
  sever(): void;
  heal(): void;
}

/** Plays steps on a broker; `onStep` waits until what has been seen is what it should be. */
export const playBus = (
  steps: readonly BusStep[],
  { publisher, subscriber, lose, sever, heal }: RealBus,
  tag: string,
  onStep: (lines: () => Lines) => Promise<void>,
): Promise<void> => {
  const stage: Stage = {
    publisher,
    subscriber,
    publish(_text, fate, publish) {
      if (fate) lose(fate);
      return publish();
    },
    async down() {
      sever();
    },
    async up(subscribed) {
      heal();
      await until(async () => {
        await subscriber.history(`${tag}.kept.>`, 1);
        if (subscribed.every(({ subscription }) => subscription.status === "live")) return;
        throw new Error("a subscription doesn't come back");
      });
    },
  };
  return play(steps, stage, tag, onStep);
};
