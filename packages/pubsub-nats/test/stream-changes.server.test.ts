import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { textOf } from "@lanai/pubsub/backend";
import { jetstreamManager, type StreamConfig } from "@nats-io/jetstream";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type NatsServer, startNats } from "../../../scripts/services/nats.ts";
import { type Listener, listen, openBackend } from "./fixture.ts";
import { startProxy } from "./proxy.ts";
import { connectTo, numbers, until } from "./servers.ts";

let server: NatsServer;

beforeAll(async () => {
  // The second user may receive no advisories.
  server = await startNats({
    config: `authorization { users: [
      { user: all, password: p }
      { user: deaf, password: p, permissions: { subscribe: { deny: ["$JS.EVENT.>"] } } }
    ] }`,
  });
});
afterAll(async () => {
  await server?.stop();
});

/** What an operator does with the raw client. */
async function operator() {
  const connection = await connectTo(server, { user: "all", pass: "p" });
  onTestFinished(() => connection.close());
  const { streams } = await jetstreamManager(connection);
  return {
    make: (name: string, ...subjects: string[]) => streams.add({ name, subjects }),
    change: (name: string, config: Partial<StreamConfig>) => streams.update(name, config),
    remove: (name: string) => streams.delete(name),
    purge: (name: string, filter?: string) => streams.purge(name, filter ? { filter } : undefined),
    publish: async (subject: string, text: string) => {
      connection.publish(subject, text);
      await connection.flush();
    },
  };
}

/** Publishes until a listener hears it; resolves to what was published. */
async function heardOn(
  publish: (text: string) => Promise<unknown>,
  listeners: readonly Listener[],
  first = 100,
): Promise<string[]> {
  const published: string[] = [];
  await until("it is heard on", async () => {
    const text = `${first + published.length}`;
    published.push(text);
    await publish(text);
    const isHeard = () => listeners.every(({ texts }) => texts.at(-1) === text);
    // Longer from one to the next: on a busy machine each may take its time.
    for (let i = 0; i < 20 * published.length && !isHeard(); i++)
      await new Promise((done) => setTimeout(done, 2));
    return isHeard();
  });
  return published;
}

/** In order, each once; what is missing was reported. */
function expectWhole({ texts, gaps, errors }: Listener, published: readonly string[]): void {
  expect(texts).toEqual(published.filter((text) => texts.includes(text)));
  if (texts.length < published.length) expect(gaps).not.toEqual([]);
  expect(errors).toEqual([]);
}

interface Change {
  readonly what: string;
  /** The streams before, by name. */
  readonly before: Readonly<Record<string, readonly string[]>>;
  readonly change: (o: Awaited<ReturnType<typeof operator>>, name: string) => Promise<unknown>;
}

/** `dm.a` is what is heard; `%` is the case's own token. */
const changes: readonly Change[] = [
  {
    what: "leaves its stream",
    before: { A: ["chat", "dm.>"] },
    change: (o, t) => o.change(`${t}A`, { subjects: [`app.${t}.chat`] }),
  },
  {
    what: "is narrowed to one of its own",
    before: { A: ["dm.>"] },
    change: (o, t) => o.change(`${t}A`, { subjects: [`app.${t}.dm.a`] }),
  },
  {
    what: "begins to be retained",
    before: {},
    change: (o, t) => o.make(`${t}A`, `app.${t}.dm.>`),
  },
  {
    what: "moves to another stream",
    before: { A: ["chat", "dm.>"], B: ["other"] },
    change: async (o, t) => {
      await o.change(`${t}A`, { subjects: [`app.${t}.chat`] });
      await o.change(`${t}B`, { subjects: [`app.${t}.other`, `app.${t}.dm.>`] });
    },
  },
  {
    what: "moves to a new stream, and its old one is deleted",
    before: { A: ["dm.>"] },
    change: async (o, t) => {
      await o.remove(`${t}A`);
      await o.make(`${t}B`, `app.${t}.dm.>`);
    },
  },
  {
    what: "loses its stream, which is made again under the same name",
    before: { A: ["dm.>"] },
    change: async (o, t) => {
      await o.remove(`${t}A`);
      await o.make(`${t}A`, `app.${t}.dm.>`);
    },
  },
  {
    what: "loses its stream, which is made again with other subjects",
    before: { A: ["dm.>"] },
    change: async (o, t) => {
      await o.remove(`${t}A`);
      await o.make(`${t}A`, `app.${t}.chat`);
    },
  },
  {
    what: "has its stream purged",
    before: { A: ["dm.>"] },
    change: (o, t) => o.purge(`${t}A`),
  },
  {
    what: "has its stream turned into one that doesn't acknowledge",
    before: { A: ["dm.>"] },
    change: (o, t) => o.change(`${t}A`, { no_ack: true }),
  },
];

let count = 0;

describe.each(["all", "deaf"])(
  "P11: to a user that receives %s advisories, a subject that",
  (user) => {
    test.each(changes)("$what is heard on, each message once", async ({ before, change }) => {
      const t = `c${++count}`;
      const o = await operator();
      for (const [name, subjects] of Object.entries(before)) {
        await o.make(t + name, ...subjects.map((it) => `app.${t}.${it}`));
      }
      const settings = { checkInterval: 100, timeout: 3_000 };
      await using here = await openBackend(server, settings, { user, pass: "p" });
      const { backend } = here;
      const listeners = [
        await listen(backend, `${t}.dm.a`),
        await listen(backend, `${t}.dm.*`),
        await listen(backend, `${t}.>`),
      ];
      await backend.publish(`${t}.dm.a`, "1");
      await until("all hear it", () => listeners.every(({ texts }) => texts.length === 1));
      await change(o, t);
      const raw = await heardOn((text) => o.publish(`app.${t}.dm.a`, text), listeners);
      const ours = await heardOn(
        (text) => backend.publish(`${t}.dm.a`, text).catch(() => {}),
        listeners,
        Number(raw.at(-1)) + 1,
      );
      for (const listener of listeners) expectWhole(listener, ["1", ...raw, ...ours]);
      for (const { subscription } of listeners) {
        await until("it is live", () => subscription.status === "live");
      }
    });
  },
);

test("P11: a subject that left its stream and is back before anybody looked reports a gap", async () => {
  const o = await operator();
  await o.make("flap", "app.flap.>", "app.flip");
  await using opened = await openBackend(
    server,
    { checkInterval: 60_000 },
    { user: "all", pass: "p" },
  );
  const { gaps, texts, subscription } = await listen(opened.backend, "flap.a");
  // While it is still plain it misses nothing, and reports no gap.
  const isRetained = async (): Promise<boolean> => {
    const { cursor } = subscription;
    await opened.backend.publish("flap.a", "0");
    for (let i = 0; i < 20 && subscription.cursor === cursor; i++) {
      await new Promise((done) => setTimeout(done, 2));
    }
    return subscription.cursor !== cursor;
  };
  for (let round = 1; round <= 20; round++) {
    await until("it is retained", isRetained);
    gaps.length = 0;
    await Promise.all([
      o.change("flap", { subjects: ["app.flip"] }),
      o.change("flap", { subjects: ["app.flap.>", "app.flip"] }),
    ]);
    await heardOn(
      (text) => opened.backend.publish("flap.a", text),
      [{ texts } as Listener],
      round * 100,
    );
    await until("the gap is reported", () => gaps.length > 0);
  }
});

test("P11: what a purge took before it was read is a gap", async () => {
  await using proxy = await startProxy(server.port);
  const o = await operator();
  await o.make("purged", "app.purged");
  await using cut = await openBackend(proxy, {}, { user: "all", pass: "p" });
  const listener = await listen(cut.backend, "purged");
  await o.publish("app.purged", "1");
  await until("it comes", () => listener.texts.length === 1);
  proxy.cut();
  await until("it is noticed", () => listener.subscription.status === "syncing");
  for (const text of numbers(2, 5)) await o.publish("app.purged", text);
  await o.purge("purged");
  proxy.mend();
  await until("the gap is reported", () => listener.gaps.length === 1);
  await o.publish("app.purged", "6");
  await until("it goes on", () => listener.texts.length === 2);
  expect(listener.texts).toEqual(["1", "6"]);
  expect(listener.gaps).toEqual([{ subject: "purged", reason: "expired" }]);
});

test("P11: a stream that is deleted for good ends its subscriptions, with a gap and an error", async () => {
  const o = await operator();
  await o.make("deleted", "app.deleted");
  await using opened = await openBackend(
    server,
    { timeout: 2_000, checkInterval: 100 },
    { user: "deaf", pass: "p" },
  );
  const { subscription, errors, gaps } = await listen(opened.backend, "deleted");
  await o.remove("deleted");
  await subscription.closed;
  await until("it is reported", () => errors.length === 1);
  expect(errors[0]?.code).toBe("ERR_PUBSUB_UNAVAILABLE");
  expect(gaps).toEqual([{ subject: "deleted", reason: "expired" }]);
});

test("P4, P11: a publisher follows what its subject becomes, with and without advisories", async () => {
  for (const user of ["all", "deaf"]) {
    const o = await operator();
    const t = `pub-${user}`;
    await using opened = await openBackend(server, { checkInterval: 100 }, { user, pass: "p" });
    await using reader = await openBackend(server, {}, { user: "all", pass: "p" });
    const { backend } = opened;
    await backend.publish(`${t}.a`, "plain");
    await o.make(t, `app.${t}.>`, `app.${t}-other`);
    const history = async () =>
      (await reader.backend.history(`${t}.a`, Infinity)).map(({ data }) => textOf(data));
    let text = 0;
    await until("a publish resolves when it is stored", async () => {
      text += 1;
      await backend.publish(`${t}.a`, `${text}`, { messageId: `${t}-once` });
      text += 1;
      await backend.publish(`${t}.a`, `${text}`, { messageId: `${t}-once` });
      // The second of two with one id is dropped where a stream takes them.
      return (await history()).at(-1) !== `${text}`;
    });
    const stored = await history();
    await o.change(t, { subjects: [`app.${t}-other`] });
    const { texts } = await listen(reader.backend, `${t}.a`);
    await until("it is a plain publish", async () => {
      await backend.publish(`${t}.a`, "plain again");
      return texts.length > 0;
    });
    expect(stored.length).toBeGreaterThan(0);
  }
});

/** Events of level warn about streams, while the test runs. */
function warnings(): { subject?: string; message?: string }[] {
  const heard: { subject?: string; message?: string }[] = [];
  const hear = (event: unknown) => {
    const { level } = event as { level: string };
    if (level === "warn") heard.push(event as object);
  };
  subscribe("lanai:pubsub:stream", hear);
  onTestFinished(() => void unsubscribe("lanai:pubsub:stream", hear));
  return heard;
}

test("concurrent ensureStream calls with different subjects are reported, once a minute", async () => {
  const heard = warnings();
  const opened = await Promise.all(
    [0, 1, 2].map(() => openBackend(server, { checkInterval: 100 }, { user: "deaf", pass: "p" })),
  );
  try {
    await Promise.all(
      opened.map(({ backend }, i) =>
        backend.ensureStream({ name: "conc", subjects: ["c.base", `c.x${i}`] }),
      ),
    );
    await until("it is reported", () => heard.length > 0);
    // Whoever didn't win finds it at each check, and says it once.
    await opened[0]?.backend.ensureStream({ name: "conc", subjects: ["c.base", "c.x0"] });
    await opened[1]?.backend.ensureStream({ name: "conc", subjects: ["c.base", "c.x1"] });
    for (const [i, { backend }] of opened.entries()) await backend.publish(`c.x${i}`, "x");
    expect(heard.length).toBe(1);
    expect(heard[0]).toMatchObject({
      subject: "conc",
      message: expect.stringMatching(/called ensureStream for conc with other subjects.*c\.base/),
    });
  } finally {
    for (const it of opened) await it[Symbol.asyncDispose]();
  }
});

test("the same ensureStream by three processes at once is reported by none", async () => {
  const heard = warnings();
  const opened = await Promise.all(
    [0, 1, 2].map(() => openBackend(server, {}, { user: "all", pass: "p" })),
  );
  try {
    const same = { name: "same", subjects: ["s.a", "s.b"] };
    await Promise.all(opened.map(({ backend }) => backend.ensureStream(same)));
    await Promise.all(
      opened.map(({ backend }) => backend.ensureStream({ ...same, subjects: ["s.b", "s.a"] })),
    );
    await Promise.all(opened.map(({ backend }) => backend.publish("s.a", "x")));
    expect(heard).toEqual([]);
  } finally {
    for (const it of opened) await it[Symbol.asyncDispose]();
  }
});

test("P10: what is held of a stream that was made again doesn't come after its successor's history", async () => {
  const o = await operator();
  await using opened = await openBackend(
    server,
    { checkInterval: 100 },
    { user: "all", pass: "p" },
  );
  const { backend } = opened;
  await o.make("held", "app.held");
  // More history than is read ahead.
  for (const text of numbers(1, 600)) await backend.publish("held", text);
  const gate = Promise.withResolvers<void>();
  const listener = await listen(backend, "held", {
    ...{ replay: 600, queue: { limit: 20 } },
    handle: () => gate.promise,
  });
  for (const text of numbers(601, 605)) await backend.publish("held", text);
  await o.remove("held");
  await o.make("held", "app.held");
  for (const text of numbers(606, 610)) await backend.publish("held", text);
  gate.resolve();
  await until("the last is heard", () => listener.texts.includes("610"));
  const texts = listener.texts.map(Number);
  expect(texts).toEqual([...new Set(texts)].toSorted((a, b) => a - b));
  expect(listener.gaps.length).toBeGreaterThan(0);
});

test("P10: one publisher's messages keep their order while their stream is lost and made again", async () => {
  const o = await operator();
  await using publisher = await openBackend(server, {}, { user: "all", pass: "p" });
  await using reader = await openBackend(server, {}, { user: "all", pass: "p" });
  await o.make("lost", "app.lost");
  const listener = await listen(reader.backend, "lost");
  const stored: string[] = [];
  let next = 0;
  for (let round = 0; round < 10; round++) {
    const publishing: Promise<unknown>[] = [];
    let isChanging = true;
    const changing = o
      .remove("lost")
      .then(() => o.make("lost", "app.lost"))
      .then(() => {
        isChanging = false;
      });
    for (let turn = 0; isChanging || turn < 20; turn++) {
      for (let i = 0; i < 3; i++) {
        const text = `${++next}`;
        publishing.push(
          publisher.backend.publish("lost", text).then(
            () => stored.push(text),
            () => {},
          ),
        );
      }
      await new Promise(setImmediate);
    }
    await changing;
    await Promise.all(publishing);
    const history = await reader.backend.history("lost", Infinity);
    const kept = history.map(({ data }) => Number(textOf(data)));
    expect(kept).toEqual(kept.toSorted((a, b) => a - b));
  }
  const last = await heardOn((text) => publisher.backend.publish("lost", text), [listener], 1e6);
  const texts = listener.texts.filter((text) => !last.includes(text)).map(Number);
  expect(texts).toEqual([...new Set(texts)].toSorted((a, b) => a - b));
  expect(stored.length).toBeGreaterThan(0);
});
