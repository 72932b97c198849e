import { type Message, memoryPubSub, type PubSub, type Streams } from "@lanai/pubsub";
import { bytesOf } from "@lanai/pubsub/backend";
import { type PubSubFeature, pubsubConformance } from "@lanai/pubsub/testing";
import { describe, expect, test } from "vitest";
import { tenAtOnce } from "./ten-at-once.ts";

type Backend = PubSub & Streams;
type Fault = (backend: Backend) => Partial<Backend>;

/** A sound backend, some methods of which are replaced. */
function broken(fault: Fault): { readonly backend: Backend; advance(ms: number): void } {
  let now = Date.now();
  const sound = memoryPubSub({ clock: () => now });
  const backend: Backend = {
    publish: (...args) => sound.publish(...args),
    subscribe: (...args) => sound.subscribe(...args),
    history: (...args) => sound.history(...args),
    ensureStream: (...args) => sound.ensureStream(...args),
    close: () => sound.close(),
    ...fault(sound),
  };
  return {
    backend,
    advance(ms) {
      now += ms;
    },
  };
}

/** Runs one test of the suite, which rejects if the backend fails it. */
function play(fault: Fault, name: string): Promise<void> {
  const found: (() => Promise<void>)[] = [];
  pubsubConformance({
    name: "x",
    features: { network: false },
    open: () => broken(fault),
    test: (it, run) => void (it === `${name} (x)` && found.push(run)),
  });
  expect(found, name).toHaveLength(1);
  const [run] = found as [() => Promise<void>];
  return run();
}

const BY_CHANCE =
  "P2, P10, P11: in any order of publish, subscribe, ensureStream and lost connections nothing is repeated, reordered or lost in silence";

/** Whether a backend fails one test of the suite, also by waiting in vain for a second. */
async function fails(fault: Fault, caught: string): Promise<boolean> {
  // One seed may miss a fault that shows now and then; each run has a new one.
  const runs = caught === BY_CHANCE ? 30 : 1;
  for (let run = 0; run < runs; run++) if (await failsOnce(fault, caught)) return true;
  return false;
}

async function failsOnce(fault: Fault, caught: string): Promise<boolean> {
  const hangs = new Promise<boolean>((resolve) => setTimeout(resolve, 1000, true));
  const failed = play(fault, caught).then(
    () => false,
    () => true,
  );
  return Promise.race([failed, hangs]);
}

const copies = (message: Message): Message => ({ ...message, data: bytesOf(message.data) });

const faults: readonly (readonly [string, Fault, string])[] = [
  [
    "takes > for zero tokens or more",
    (it) => ({
      async subscribe(subject, handler, options) {
        if (subject.endsWith(".>")) await it.subscribe(subject.slice(0, -2), handler, options);
        return it.subscribe(subject, handler, options);
      },
    }),
    "P1: subjects match by the rules of NATS, to the token",
  ],
  [
    "folds case",
    (it) => ({
      publish: (subject, ...others) => it.publish(subject.toLowerCase(), ...others),
      subscribe: (subject, ...others) => it.subscribe(subject.toLowerCase(), ...others),
    }),
    "P1: subjects match by the rules of NATS, to the token",
  ],
  [
    "lets a subject through",
    (it) => ({ publish: (subject, ...others) => it.publish(subject.replace(" ", "_"), ...others) }),
    "P1: a subject that can't be is refused by every call, with the position",
  ],
  [
    "resolves before it is subscribed",
    (it) => ({
      async subscribe(...args) {
        const later = Promise.resolve().then(() => new Promise(setImmediate));
        const subscription = later.then(() => it.subscribe(...args));
        return new Proxy({} as Awaited<typeof subscription>, {
          get: (_, name) => (name === "then" ? undefined : "live"),
        });
      },
    }),
    "P2: what is published after subscribe has resolved is delivered",
  ],
  [
    "makes texts of bytes",
    (it) => ({
      publish: (subject, data, options) =>
        it.publish(subject, Buffer.from(bytesOf(data)).toString(), options),
    }),
    "bytes arrive as they were: none, every value, 1 MiB, a view, a text",
  ],
  [
    "keeps the caller's array",
    (it) => ({
      subscribe: (subject, handler, options) =>
        it.subscribe(subject, (message) => handler({ ...message, data: kept[0] ?? "" }), options),
      publish(subject, data, options) {
        kept[0] = data;
        return it.publish(subject, data, options);
      },
    }),
    "an array that is changed after publish was called arrives as it was",
  ],
  [
    "delivers twice",
    (it) => ({
      subscribe: (subject, handler, options) =>
        it.subscribe(
          subject,
          (message) => {
            handler(message);
            return handler(copies(message));
          },
          options,
        ),
    }),
    "50 subscriptions of one subject get every message once, in order",
  ],
  [
    "lets a message overtake another now and then",
    (it) => {
      let published = 0;
      return {
        async publish(...args) {
          published += 1;
          if (published % 3 === 0) await new Promise(setImmediate);
          return it.publish(...args);
        },
      };
    },
    BY_CHANCE,
  ],
  [
    "loses one message in ten",
    (it) => {
      let published = 0;
      return {
        async publish(...args) {
          published += 1;
          if (published % 10) await it.publish(...args);
        },
      };
    },
    BY_CHANCE,
  ],
  [
    "doesn't wait for the handler",
    (it) => ({
      subscribe: (subject, handler, options) =>
        it.subscribe(subject, (message) => void handler(message), options),
    }),
    "a handler is called for one message at a time",
  ],
  [
    "swallows what handlers throw",
    (it) => ({
      subscribe: (subject, handler, options) =>
        it.subscribe(
          subject,
          async (message) => {
            await Promise.resolve(message)
              .then(handler)
              .catch(() => {});
          },
          options,
        ),
    }),
    "P6: a handler that throws or rejects is reported once each time, and harms nobody",
  ],
  [
    "ignores signals",
    (it) => ({
      subscribe: (subject, handler, { signal: _, ...options } = {}) =>
        it.subscribe(subject, handler, options),
    }),
    "a signal ends a subscription: before, while and after it is made",
  ],
  [
    "queues without a bound",
    (it) => ({
      subscribe: (subject, handler, { queue: _, ...options } = {}) =>
        it.subscribe(subject, handler, options),
    }),
    "P7: who doesn't keep up is closed and told, and delays nobody",
  ],
  [
    "goes on after close",
    () => ({ close: async () => {} }),
    "P8: close settles everything, and every later call is a typed error",
  ],
  [
    "answers history from its beginning",
    (it) => ({
      history: async (subject, limit) =>
        (await it.history(subject, Infinity)).slice(0, Math.min(limit, 1e9)),
    }),
    "history answers the last ones, oldest first, of a subject or a pattern",
  ],
  [
    "trims by and by",
    (it) => ({
      ensureStream: ({ maxMsgs = 1000, ...config }) =>
        it.ensureStream({ ...config, maxMsgs: maxMsgs + 100 }),
    }),
    "maxMsgs is exact on read, over all subjects of the stream",
  ],
  [
    "forgets ages",
    (it) => ({ ensureStream: ({ maxAge: _, ...config }) => it.ensureStream(config) }),
    "maxAge is exact on read, also when nothing is published any more",
  ],
  [
    "never changes a stream",
    (it) => {
      const made = new Set<string>();
      return {
        async ensureStream(config) {
          if (!made.has(config.name)) await it.ensureStream(config);
          made.add(config.name);
        },
      };
    },
    "ensureStream makes, keeps and changes a stream",
  ],
  [
    "stores a messageId again",
    (it) => ({ publish: (subject, data) => it.publish(subject, data) }),
    "P4: a messageId is stored and delivered once",
  ],
  [
    "reads history before it subscribes",
    (it) => ({
      async subscribe(subject, handler, { replay = 0, ...options } = {}) {
        for (const message of replay > 0 ? await it.history(subject, replay) : []) handler(message);
        await new Promise(setImmediate);
        return it.subscribe(subject, handler, options);
      },
    }),
    "P3: whoever joins while messages flow gets every one, once, in order",
  ],
  [
    "marks what it replays as live",
    (it) => ({
      subscribe: (subject, handler, options) =>
        it.subscribe(subject, (message) => handler({ ...message, replayed: false }), options),
    }),
    "P3: whoever joins while messages flow gets every one, once, in order",
  ],
  [
    "swallows what onGap throws",
    (it) => ({
      subscribe: (subject, handler, { onGap, ...options } = {}) =>
        it.subscribe(subject, handler, {
          ...options,
          ...(onGap && {
            onGap(gap) {
              try {
                onGap(gap);
              } catch {}
            },
          }),
        }),
    }),
    "P6: an onError or onGap that throws harms nobody",
  ],
  [
    "gives what is handled to who subscribes meanwhile",
    (it) => {
      let handled: Message | undefined;
      return {
        async subscribe(subject, handler, options) {
          if (handled) handler(handled);
          const hear = async (message: Message) => {
            handled = message;
            await handler(message);
            handled = undefined;
          };
          return it.subscribe(subject, hear, options);
        },
      };
    },
    "who is subscribed inside a handler gets what comes after the message that it handles",
  ],
  [
    "remembers a messageId for ever",
    (it) => {
      const known = new Set<string>();
      return {
        async publish(subject, data, options) {
          const { messageId = "" } = options ?? {};
          if (known.has(messageId)) return;
          await it.publish(subject, data, options);
          if (messageId !== "") known.add(messageId);
        },
      };
    },
    "P4: a messageId is stored and delivered once",
  ],
  [
    "closes the others too",
    (it) => {
      opened.add(it);
      return {
        async close() {
          for (const other of opened) await other.close();
          opened.clear();
        },
      };
    },
    "P8: ten that subscribe and close at once disturb neither one that stays nor one that comes after",
  ],
  [
    "resumes at the cursor, not after it",
    (it) => ({
      async subscribe(subject, handler, options = {}) {
        if (options.since) {
          const all = await it.history(subject, Infinity);
          const again = all.find(({ id }) => id === options.since);
          if (again) handler(again);
        }
        return it.subscribe(subject, handler, options);
      },
    }),
    "P3: since wins over replay; an empty one is none",
  ],
  [
    "says nothing of a cursor that it can't resume",
    (it) => ({
      subscribe: (subject, handler, { onGap: _, ...options } = {}) =>
        it.subscribe(subject, handler, options),
    }),
    "P3: a cursor that can't be resumed is said, and replay serves",
  ],
];
const kept: (Uint8Array | string)[] = [];
const opened = new Set<Backend>();

describe("a backend fails the suite that", () => {
  test.each(faults)("%s", async (_, fault, caught) => {
    expect(await fails(fault, caught)).toBe(true);
    await play(() => ({}), caught);
  });
});

describe("the suite", () => {
  const register = (features?: Partial<Record<PubSubFeature, false>>) => {
    const names: string[] = [];
    pubsubConformance({
      name: "x",
      open: () => broken(() => ({})),
      test: (name) => names.push(name),
      ...(features && { features }),
    });
    return names;
  };

  test("shows what a backend lacks in place of its tests", () => {
    const whole = register();
    const alone = register({ network: false });
    expect(new Set(whole).size).toBe(whole.length);
    expect(whole.filter((it) => it.startsWith("P5"))).not.toEqual([]);
    expect(alone.filter((it) => it.startsWith("P5"))).toEqual([]);
    expect(alone.at(-1)).toMatch(/^lacks network: /);
    const lasting = register({ restart: false });
    expect(whole.filter((it) => !lasting.includes(it))).toEqual(
      whole.filter((it) => it.startsWith("P5")),
    );
    expect(lasting.at(-1)).toMatch(/^lacks restart: /);
  });

  test("refuses a feature that there isn't", () => {
    expect(() => register({ speed: false } as never)).toThrow(
      'there is no feature "speed": there are network, restart',
    );
  });

  test("ten times at once holds on one backend", async () => {
    const { backend } = broken(() => ({}));
    expect(await tenAtOnce({ backend }, { network: false })).toBeGreaterThan(300);
  });
});
