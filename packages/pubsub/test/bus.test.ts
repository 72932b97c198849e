import {
  createPubSub,
  type Event,
  type Gap,
  type Meta,
  memoryPubSub,
  type PubSub,
  type PubSubError,
  type StandardSchema,
} from "@lanai/pubsub";
import {
  asLibraryCall,
  covers,
  isLibraryCall,
  libraryPubSub,
  matchesSubject,
  overlaps,
} from "@lanai/pubsub/backend";
import { describe, expect, test, vi } from "vitest";
import { subjectMatcher } from "../src/subjects/subject.ts";
import { until } from "./until.ts";

const code = (code: string) => expect.objectContaining({ code });

/** A Standard Schema made by hand: `{ n: number }`, at once or later. */
const numbered = (later = false): StandardSchema<{ n: number }> => ({
  "~standard": {
    version: 1,
    vendor: "test",
    validate(value) {
      const { n } = value as { n?: unknown };
      const result =
        typeof n === "number"
          ? { value: { n } }
          : { issues: [{ message: `secret ${n}`, path: ["n"] }] };
      return later ? Promise.resolve(result) : result;
    },
  },
});

describe("JSON", () => {
  test("publish and subscribe carry values, each subscriber its own", async () => {
    const bus = createPubSub();
    const heard: unknown[] = [];
    for (let i = 0; i < 2; i++) await bus.subscribe("a.*", (data) => heard.push(data));
    const value = { text: "grüße 😀", list: [1, null, true], nested: { __proto__x: 1 } };
    await bus.publish("a.b", value);
    expect(heard).toEqual([value, value]);
    expect(heard[0]).not.toBe(heard[1]);
    expect(heard[0]).not.toBe(value);
  });

  test("a key __proto__ is a key like others", async () => {
    const bus = createPubSub();
    const heard: Record<string, unknown>[] = [];
    await bus.subscribe<Record<string, unknown>>("a", (data) => heard.push(data));
    await bus.publish("a", JSON.parse('{"__proto__":{"x":1}}'));
    expect(Object.keys(heard[0] ?? {})).toEqual(["__proto__"]);
    expect(heard[0]?.x).toBeUndefined();
  });

  test("the handler is told where, when and whether it is history", async () => {
    const bus = createPubSub({ backend: memoryPubSub({ clock: () => 42 }) });
    await bus.ensureStream({ name: "all", subjects: [">"] });
    await bus.publish("a.b", 1);
    const metas: Meta[] = [];
    await bus.subscribe("a.*", (_, meta) => metas.push(meta), { replay: 1 });
    await bus.publish("a.c", 2);
    expect(metas).toEqual([
      { id: expect.any(String), subject: "a.b", time: 42, replayed: true },
      { id: expect.any(String), subject: "a.c", time: 42, replayed: false },
    ]);
  });

  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  test.each([
    ["undefined", undefined],
    ["a function", () => 1],
    ["a symbol", Symbol("x")],
    ["a bigint", 1n],
    ["a cycle", cycle],
  ])("%s is refused by publish", async (_, value) => {
    const bus = createPubSub();
    await expect(bus.publish("a", value)).rejects.toEqual(code("ERR_PUBSUB_ENCODE"));
  });
});

describe("P9: a message that can't be decoded", () => {
  const broken = new Uint8Array([0xff]);
  const secret = new TextEncoder().encode("hunter2");

  test("goes to onError, and never to the handler", async () => {
    const bus = createPubSub();
    const errors: [string, Meta | undefined][] = [];
    const heard: unknown[] = [];
    await bus.subscribe("a", (data) => heard.push(data), {
      onError: ({ code, message, cause }, meta) => {
        expect(message).not.toContain("hunter2");
        expect(cause).toBeUndefined();
        errors.push([code, meta]);
      },
    });
    await bus.raw.publish("a", broken);
    await bus.raw.publish("a", secret);
    await bus.publish("a", 1);
    expect(heard).toEqual([1]);
    const meta = { id: undefined, subject: "a", time: expect.any(Number), replayed: false };
    expect(errors).toEqual([
      ["ERR_PUBSUB_DECODE", meta],
      ["ERR_PUBSUB_DECODE", meta],
    ]);
  });

  test("goes to the bus where there is no onError, as do a handler's failures", async () => {
    const bus = createPubSub();
    const errors: [string, string | undefined][] = [];
    const stop = bus.onError((error, meta) => errors.push([error.code, meta?.subject]));
    bus.onError(() => {
      throw new Error("a listener of its own");
    });
    const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    await bus.subscribe("a", () => {
      throw new Error("x");
    });
    await bus.raw.publish("a", broken);
    await bus.publish("a", 1);
    expect(errors).toEqual([
      ["ERR_PUBSUB_DECODE", "a"],
      ["ERR_PUBSUB_HANDLER", "a"],
    ]);
    expect(warning).toHaveBeenCalledTimes(2);
    stop();
    await bus.publish("a", 1);
    expect(errors).toHaveLength(2);
    warning.mockRestore();
  });

  test("is a warning of the process where nobody listens, without what it says", async () => {
    const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const bus = createPubSub();
    await bus.subscribe("a", () => {});
    await bus.raw.publish("a", secret);
    expect(warning).toHaveBeenCalledTimes(1);
    expect(JSON.stringify(warning.mock.calls)).not.toContain("hunter2");
    warning.mockRestore();
  });

  test.each([false, true])("is one that the schema refuses (asynchronous: %s)", async (later) => {
    const bus = createPubSub();
    const heard: { n: number }[] = [];
    const errors: PubSubError[] = [];
    await bus.subscribe("a", (data) => heard.push(data), {
      schema: numbered(later),
      onError: (error) => errors.push(error),
    });
    for (const n of [1, "hunter2", 2]) await bus.publish("a", { n, more: true });
    await until("both come", () => heard.length === 2);
    expect(heard).toEqual([{ n: 1 }, { n: 2 }]);
    expect(errors).toEqual([code("ERR_PUBSUB_DECODE")]);
    expect(errors[0]?.message).toContain("at n");
    expect(errors[0]?.message).not.toContain("hunter2");
  });

  test("is left out of history, and told", async () => {
    const bus = createPubSub();
    await bus.ensureStream({ name: "all", subjects: ["a"] });
    await bus.publish("a", { n: 1 });
    await bus.raw.publish("a", broken);
    await bus.publish("a", { n: "x" });
    const errors: [string, string][] = [];
    const events = await bus.history("a", 10, {
      schema: numbered(true),
      onError: (error, meta) => errors.push([error.code, meta.subject]),
    });
    expect(events).toEqual([
      {
        id: expect.any(String),
        subject: "a",
        data: { n: 1 },
        time: expect.any(Number),
        replayed: true,
      },
    ]);
    expect(errors).toEqual([
      ["ERR_PUBSUB_DECODE", "a"],
      ["ERR_PUBSUB_DECODE", "a"],
    ]);
  });
});

describe("raw", () => {
  test("carries bytes, and hands each subscriber its own", async () => {
    const bus = createPubSub();
    const heard: Uint8Array[] = [];
    for (let i = 0; i < 2; i++) {
      await bus.raw.subscribe("a", (data, { subject }) => {
        expect(subject).toBe("a");
        heard.push(data);
        data[0] = 9;
      });
    }
    await bus.raw.publish("a", new Uint8Array([1, 2]));
    await bus.publish("a", "é");
    expect(heard.map((it) => [...it])).toEqual([
      [9, 2],
      [9, 2],
      [9, 0xc3, 0xa9, 0x22],
      [9, 0xc3, 0xa9, 0x22],
    ]);
    for (const data of heard) expect(data.constructor).toBe(Uint8Array);
  });

  test("takes nothing but bytes", async () => {
    const { raw } = createPubSub();
    await expect(raw.publish("a", "text" as never)).rejects.toThrow(
      "raw.publish: the data must be a Uint8Array, got string",
    );
  });
});

describe("events", () => {
  test("begins at once, history first, and yields whole events", async () => {
    const bus = createPubSub({ backend: memoryPubSub({ clock: () => 42 }) });
    await bus.ensureStream({ name: "all", subjects: [">"] });
    await bus.publish("a.b", 1);
    const events = bus.events<number>("a.*", { replay: 1 });
    await bus.publish("a.c", 2);
    const seen: Event<number>[] = [];
    for await (const event of events) {
      seen.push(event);
      if (seen.length === 2) break;
    }
    const id = expect.any(String);
    expect(seen).toEqual([
      { id, subject: "a.b", data: 1, time: 42, replayed: true },
      { id, subject: "a.c", data: 2, time: 42, replayed: false },
    ]);
    expect((await events.subscription).status).toBe("closed");
    const { id: cursor } = seen[0] as Event<number>;
    const resumed = bus.events<number>("a.*", { since: cursor });
    expect((await resumed.next()).value).toMatchObject({ data: 2, replayed: true });
    expect((await resumed.subscription).recovered).toBe(true);
  });

  test("return settles at once, and so does a next that waits; also while it is subscribed", async () => {
    const never: PubSub = {
      publish: async () => {},
      subscribe: () => new Promise(() => {}),
      close: async () => {},
    };
    for (const backend of [memoryPubSub(), never]) {
      const events = createPubSub({ backend }).events("a");
      const waiting = [events.next(), events.next()];
      expect(await events.return()).toEqual({ done: true, value: undefined });
      const done = { done: true, value: undefined };
      expect(await Promise.all(waiting)).toEqual([done, done]);
      expect(await events.next()).toEqual(done);
    }
  });

  test("several nexts are answered in order", async () => {
    const bus = createPubSub();
    const events = bus.events<number>("a");
    const nexts = [events.next(), events.next(), events.next()];
    for (const n of [1, 2, 3]) await bus.publish("a", n);
    expect((await Promise.all(nexts)).map(({ value }) => value?.data)).toEqual([1, 2, 3]);
  });

  test("its signal, its asyncDispose and the bus's close end it", async () => {
    const bus = createPubSub();
    const controller = new AbortController();
    const signalled = bus.events("a", { signal: controller.signal });
    const disposed = bus.events("a");
    const closed = bus.events<number>("a");
    await closed.subscription;
    const done = { done: true, value: undefined };
    controller.abort();
    expect(await signalled.next()).toEqual(done);
    expect((await signalled.subscription).status).toBe("closed");
    await disposed[Symbol.asyncDispose]();
    await bus.publish("a", 1);
    await bus.close();
    expect((await closed.next()).value).toMatchObject({ data: 1 });
    expect(await closed.next()).toEqual(done);
    expect(await disposed.next()).toEqual(done);
  });

  test("it throws why it was closed, after what was taken before", async () => {
    const bus = createPubSub();
    const events = bus.events<number>("a", { queue: { limit: 3 } });
    for (let n = 1; n <= 10; n++) await bus.publish("a", n);
    const { closed } = await events.subscription;
    await closed;
    expect((await events.next()).value).toMatchObject({ data: 1 });
    await expect(events.next()).rejects.toEqual(code("ERR_PUBSUB_SLOW"));
    expect(await events.next()).toEqual({ done: true, value: undefined });
  });

  test("what can't be is thrown at once, and what the backend refuses by next", async () => {
    const bus = createPubSub();
    expect(() => bus.events("a..b")).toThrow(code("ERR_PUBSUB_SUBJECT"));
    expect(() => bus.events("a", { replay: -1 })).toThrow(RangeError);
    const events = bus.events("a", { replay: 1 });
    await expect(events.next()).rejects.toEqual(code("ERR_PUBSUB_NOT_RETAINED"));
    await expect(events.subscription).rejects.toEqual(code("ERR_PUBSUB_NOT_RETAINED"));
  });

  test("onError and onGap are told what doesn't end it", async () => {
    const bus = createPubSub();
    const told: string[] = [];
    const events = bus.events<number>("a", {
      queue: { limit: 2, overflow: "drop-oldest" },
      onError: ({ code }) => told.push(code),
      onGap: ({ reason, count }: Gap) => told.push(`${reason} ${count}`),
    });
    await bus.raw.publish("a", new Uint8Array([0xff]));
    for (let n = 1; n <= 5; n++) await bus.publish("a", n);
    const seen = [await events.next(), await events.next(), await events.next()];
    expect(seen.map(({ value }) => value?.data)).toEqual([1, 4, 5]);
    expect(told).toEqual(["ERR_PUBSUB_DECODE", "overflow 2"]);
  });
});

describe("history", () => {
  test("answers the last ones as events", async () => {
    const bus = createPubSub();
    await bus.ensureStream({ name: "chat", subjects: ["chat.>"] });
    for (let n = 1; n <= 5; n++) await bus.publish("chat.a", n);
    const events = await bus.history<number>("chat.*", 2);
    expect(events.map(({ data }) => data)).toEqual([4, 5]);
    await expect(bus.history("other", 1)).rejects.toEqual(code("ERR_PUBSUB_NOT_RETAINED"));
  });
});

test.for<[name: unknown, index: number]>([
  ["room a", 4],
  ["räume", 1],
  ["", 0],
  [undefined, 0],
])("ensureStream refuses the name %o, and says where the fault is", async ([name, index]) => {
  const config = { name: name as string, subjects: ["a"] };
  await expect(createPubSub().ensureStream(config)).rejects.toMatchObject({
    ...{ code: "ERR_PUBSUB_SUBJECT", index },
  });
});

describe("a backend", () => {
  const plain: PubSub = {
    publish: vi.fn(async () => {}),
    subscribe: vi.fn(() => Promise.reject(new Error("x"))),
    close: vi.fn(async () => {}),
  };

  test("is what messages go through, can be reached, and is closed with the bus", async () => {
    const bus = createPubSub({ backend: plain });
    expect(bus.backend).toBe(plain);
    await bus.publish("a", { x: 1 }, { messageId: "m" });
    expect(plain.publish).toHaveBeenCalledWith("a", '{"x":1}', { messageId: "m" });
    await expect(bus.subscribe("a", () => {})).rejects.toThrow("x");
    await bus.close();
    expect(plain.close).toHaveBeenCalledTimes(1);
  });

  test("without streams refuses what needs them", async () => {
    const bus = createPubSub({ backend: plain });
    const refused = code("ERR_PUBSUB_NO_STREAMS");
    await expect(bus.history("a", 1)).rejects.toEqual(refused);
    await expect(bus.ensureStream({ name: "a", subjects: ["a"] })).rejects.toEqual(refused);
  });

  test("is in memory by default, one for each bus", async () => {
    const [one, other] = [createPubSub(), createPubSub()];
    const heard: unknown[] = [];
    await other.subscribe("a", (data) => heard.push(data));
    await one.publish("a", 1);
    await other.publish("a", 2);
    expect(heard).toEqual([2]);
  });
});

describe("what can't be is refused by name", () => {
  test.each([
    [{ store: 1 }, 'there is no option "store": its options are backend, property'],
    [{ backend: {} }, "backend must be an object with publish, subscribe and close"],
    [{ property: "a b" }, 'property must be a name such as "session", got "a b"'],
    ["redis", "the options must be an object, got string"],
  ])("createPubSub(%j)", (options, message) => {
    expect(() => createPubSub(options as never)).toThrow(message);
    expect(() => createPubSub(options as never)).toThrow(TypeError);
  });

  test.each([
    [{ replays: 1 }, 'there is no option "replays"'],
    [{ replay: "5" }, "replay must be an integer from 0 or Infinity, got string"],
    [{ replay: 1.5 }, "replay must be an integer from 0 or Infinity, got 1.5"],
    [{ since: 5 }, "since must be a string, got number"],
    [{ signal: {} }, "signal must be an AbortSignal, got object"],
    [{ onError: 1 }, "onError must be a function, got number"],
    [{ onGap: 1 }, "onGap must be a function, got number"],
    [{ queue: 5 }, "queue must be an object, got number"],
    [{ queue: { limit: 0 } }, "queue.limit must be an integer from 1 to 1000000, got 0"],
    [{ queue: { bytes: 0.5 } }, "queue.bytes must be an integer from 1"],
    [
      { queue: { overflow: "drop" } },
      'queue.overflow must be "close" or "drop-oldest", got "drop"',
    ],
    [{ schema: {} }, "schema must be a Standard Schema"],
  ])("subscribe(%j)", async (options, message) => {
    const bus = createPubSub();
    await expect(bus.subscribe("a", () => {}, options as never)).rejects.toThrow(message);
    await expect(bus.subscribe("a", "x" as never)).rejects.toThrow("handler must be a function");
    expect(() => bus.events("a", options as never)).toThrow(message);
  });

  test("memoryPubSub, history and publish", async () => {
    expect(() => memoryPubSub({ clock: 1 as never })).toThrow("clock must be a function");
    expect(() => memoryPubSub({ max: 1 } as never)).toThrow('no option "max"');
    const bus = createPubSub();
    await expect(bus.history("a", undefined as never)).rejects.toThrow(
      "limit must be an integer from 0 or Infinity",
    );
    await expect(bus.history("a", -1)).rejects.toThrow(RangeError);
    await expect(bus.publish("a", 1, { id: "x" } as never)).rejects.toThrow('no option "id"');
    await expect(bus.backend.publish("a", 1 as never)).rejects.toThrow("must be a Uint8Array");
  });
});

describe("C9: reserved subjects", () => {
  const SUBJECT = "$lanai.clients.control";

  test("every call of a bus rejects one, also when its options are those of a library", async () => {
    const backend = memoryPubSub();
    const bus = createPubSub({ backend });
    const inside: string[] = [];
    await libraryPubSub(bus, "clients").subscribe("control", ({ data }) =>
      inside.push(String(data)),
    );
    for (const options of [{}, asLibraryCall({})]) {
      const calls = [
        bus.publish(SUBJECT, "x", options),
        bus.subscribe(SUBJECT, () => {}, options),
        bus.raw.publish(SUBJECT, new Uint8Array(1), options),
        bus.raw.subscribe(SUBJECT, () => {}, options),
        bus.history(SUBJECT, 1),
        bus.ensureStream({ name: "x", subjects: [SUBJECT], ...options }),
      ];
      for (const call of calls) await expect(call).rejects.toEqual(code("ERR_PUBSUB_SUBJECT"));
      const named = { name: "$lanai-clients-x", subjects: ["a"], ...options };
      await expect(bus.ensureStream(named)).rejects.toEqual(code("ERR_PUBSUB_SUBJECT"));
      expect(() => bus.events(SUBJECT, options)).toThrow(code("ERR_PUBSUB_SUBJECT"));
    }
    await libraryPubSub(backend, "clients").publish("control", "library");
    expect(inside).toEqual(["library"]);
  });

  test("options that came as JSON mark no call of a library", async () => {
    const options = JSON.parse(
      '{"Symbol(@lanai/pubsub:library)":true,"@lanai/pubsub:library":true}',
    );
    expect(isLibraryCall(options)).toBe(false);
    await expect(memoryPubSub().publish(SUBJECT, "x")).rejects.toEqual(code("ERR_PUBSUB_SUBJECT"));
  });

  test("the functions on patterns skip them at a wildcard in the first place alone", () => {
    for (const pattern of [">", "*", "*.>", "*.clients.control"]) {
      expect(matchesSubject(pattern, SUBJECT)).toBe(false);
      expect(subjectMatcher(pattern)(SUBJECT)).toBe(false);
      expect(covers(pattern, SUBJECT)).toBe(false);
      expect(overlaps(pattern, SUBJECT) || overlaps(SUBJECT, pattern)).toBe(false);
    }
    for (const pattern of ["$lanai.>", "$lanai.*.control", SUBJECT]) {
      expect(matchesSubject(pattern, SUBJECT)).toBe(true);
      expect(subjectMatcher(pattern)(SUBJECT)).toBe(true);
      expect(overlaps(pattern, SUBJECT) && overlaps(SUBJECT, pattern)).toBe(true);
    }
    expect(matchesSubject(">", "a.$lanai")).toBe(true);
    expect(overlaps(">", "*.$lanai")).toBe(true);
  });
});
