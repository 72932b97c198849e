import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Gap, Message, PubSubError, SubscribeOptions } from "@lanai/pubsub";
import { Inbox, pushAll, textOf } from "@lanai/pubsub/backend";
import { describe, expect, test } from "vitest";
import { until } from "./until.ts";

const message = (text: string, replayed = false): Message => ({
  id: `e.${text}`,
  subject: "x",
  data: text,
  time: 0,
  replayed,
});

function inboxOf(options: SubscribeOptions = {}, handle: (text: string) => unknown = () => {}) {
  const texts: string[] = [];
  const gaps: Gap[] = [];
  const errors: PubSubError[] = [];
  let left = 0;
  const inbox = new Inbox({
    subject: "x",
    handler: ({ data }) => {
      texts.push(textOf(data));
      return handle(textOf(data));
    },
    options: { onGap: (gap) => gaps.push(gap), onError: (it) => errors.push(it), ...options },
    leave: () => {
      left += 1;
    },
  });
  return { inbox, texts, gaps, errors, left: () => left };
}

const push = (inbox: Inbox, from: number, to: number, stream = "s"): void => {
  for (let i = from; i <= to; i++) inbox.push(message(String(i)), stream, i);
};

describe("while an inbox is syncing", () => {
  test("live messages are held until history has been replayed, and none comes twice", () => {
    const { inbox, texts } = inboxOf();
    push(inbox, 3, 6);
    expect(inbox.status).toBe("syncing");
    for (let i = 1; i <= 4; i++) inbox.replay(message(String(i), true), "s", i);
    expect(inbox.live()).toBe(true);
    push(inbox, 5, 7);
    expect(texts).toEqual(["1", "2", "3", "4", "5", "6", "7"]);
    expect(inbox.position("s")).toBe(7);
    expect(inbox.cursor).toBe("e.7");
  });

  test("P10: what waited for a slow handler comes before what is read from the stream since", async () => {
    const { inbox, texts } = inboxOf({ queue: { limit: 4 } }, () => new Promise(setImmediate));
    inbox.live();
    push(inbox, 1, 3);
    inbox.sync();
    push(inbox, 4, 9);
    expect(inbox.live()).toBe(false);
    for (let i = 4; i <= 9; i++) inbox.replay(message(String(i), true), "s", i);
    expect(inbox.live()).toBe(true);
    push(inbox, 10, 11);
    await until("all come", () => texts.length === 11);
    expect(texts.map(Number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  });

  test.each(["close", "drop-oldest"] as const)(
    "P7: a connection that comes and goes piles up nothing for a handler that is stuck (%s)",
    async (overflow) => {
      const queue = { limit: 4, overflow };
      const { inbox, errors } = inboxOf({ queue }, () => new Promise(() => {}));
      inbox.live();
      let position = 0;
      for (let round = 0; round < 20; round++) {
        push(inbox, position + 1, position + 4);
        position += 4;
        inbox.sync();
        inbox.live();
      }
      if (overflow === "close") {
        await inbox.closed;
        await until("it is told", () => errors.length === 1);
        expect(errors[0]?.code).toBe("ERR_PUBSUB_SLOW");
      } else {
        expect(inbox.status).toBe("live");
      }
    },
  );

  test("positions are those of each stream", () => {
    const { inbox, texts } = inboxOf();
    inbox.live();
    push(inbox, 1, 2, "a");
    push(inbox, 1, 2, "b");
    inbox.startAfter("c", 1);
    push(inbox, 1, 2, "c");
    expect(texts).toEqual(["1", "2", "1", "2", "2"]);
  });

  test("what is held is bounded: forgotten, to be read from the stream", () => {
    const { inbox, texts, gaps, errors } = inboxOf({ queue: { limit: 5 } });
    push(inbox, 3, 20);
    inbox.replay(message("1", true), "s", 1);
    expect(inbox.live()).toBe(false);
    expect(inbox.status).toBe("syncing");
    expect(inbox.position("s")).toBe(1);
    for (let i = 2; i <= 18; i++) inbox.replay(message(String(i), true), "s", i);
    push(inbox, 19, 21);
    expect(inbox.live()).toBe(true);
    expect(texts.map(Number)).toEqual(Array.from({ length: 21 }, (_, i) => i + 1));
    expect([gaps, errors]).toEqual([[], []]);
  });

  test("plain messages that are forgotten are a gap", () => {
    const { inbox, texts, gaps } = inboxOf({ queue: { limit: 2 } });
    for (const text of ["1", "2", "3"]) inbox.push(message(text));
    expect(inbox.live()).toBe(false);
    expect(inbox.live()).toBe(true);
    expect(gaps).toEqual([{ subject: "x", reason: "overflow", count: 3 }]);
    inbox.push(message("4"));
    expect(texts).toEqual(["4"]);
  });

  test("a connection that is lost begins it again", () => {
    const { inbox, texts } = inboxOf();
    inbox.sync();
    inbox.live();
    push(inbox, 1, 2);
    inbox.sync();
    expect(inbox.status).toBe("syncing");
    push(inbox, 5, 6);
    for (let i = 2; i <= 5; i++) inbox.replay(message(String(i), true), "s", i);
    inbox.live();
    expect(texts).toEqual(["1", "2", "3", "4", "5", "6"]);
  });
});

describe("history", () => {
  test("room resolves when a handler that was slow for one message takes the others at once", async () => {
    const { promise: first, resolve: goOn } = Promise.withResolvers<void>();
    const { inbox, texts } = inboxOf({ queue: { limit: 4 } }, (text) =>
      text === "1" ? first : undefined,
    );
    for (let i = 1; i <= 6; i++) inbox.replay(message(String(i), true), "s", i);
    const room = inbox.room();
    expect(texts).toEqual(["1"]);
    goOn();
    await room;
    expect(texts).toHaveLength(6);
  });

  test("room resolves when half of the queue is free, or the inbox closed", async () => {
    const release: (() => void)[] = [];
    const { inbox, texts } = inboxOf(
      { queue: { limit: 4 } },
      () => new Promise<void>((resolve) => release.push(resolve)),
    );
    for (let i = 1; i <= 6; i++) inbox.replay(message(String(i), true), "s", i);
    let free = false;
    const room = Promise.resolve(inbox.room()).then(() => {
      free = true;
    });
    for (let done = 0; done < 3; done++) {
      expect(free).toBe(false);
      release[done]?.();
      await until("the next is handled", () => texts.length === done + 2);
    }
    await room;
    for (let i = 7; i <= 10; i++) inbox.replay(message(String(i), true), "s", i);
    const other = inbox.room();
    await inbox.unsubscribe();
    await other;
    expect(inboxOf().inbox.room()).toBeUndefined();
  });
});

describe("a gap", () => {
  test("is told after what waits and before what comes next", async () => {
    const order: string[] = [];
    let release = (): void => {};
    const { inbox } = inboxOf({ onGap: ({ reason }) => order.push(reason) }, async (text) => {
      order.push(text);
      if (text === "1") await new Promise<void>((resolve) => (release = resolve));
    });
    inbox.live();
    push(inbox, 1, 2);
    inbox.gap("reconnect");
    inbox.gap("reconnect");
    push(inbox, 3, 3);
    release();
    await until("all come", () => order.length === 4);
    expect(order).toEqual(["1", "2", "reconnect", "3"]);
  });

  test("stands before the history that was read because of it, and after the one that waits", async () => {
    const order: string[] = [];
    const { inbox } = inboxOf({ onGap: ({ reason }) => order.push(reason) }, async (text) => {
      order.push(text);
      await new Promise(setImmediate);
    });
    inbox.gap("cursor");
    for (let i = 1; i <= 3; i++) inbox.replay(message(String(i), true), "s", i);
    inbox.live();
    inbox.gap("reconnect");
    push(inbox, 4, 5);
    inbox.gap("expired");
    await until("all come", () => order.length === 8);
    expect(order).toEqual(["cursor", "1", "2", "3", "reconnect", "4", "5", "expired"]);
  });

  test("is told even when the queue overflows behind it", async () => {
    const order: string[] = [];
    let release = (): void => {};
    const { inbox } = inboxOf(
      {
        queue: { limit: 1, overflow: "drop-oldest" },
        onGap: ({ reason, count }) => order.push(`${reason} ${count}`),
      },
      async (text) => {
        order.push(text);
        if (text === "1") await new Promise<void>((resolve) => (release = resolve));
      },
    );
    inbox.live();
    push(inbox, 1, 2);
    inbox.gap("reconnect");
    push(inbox, 3, 4);
    await until("the gap is told", () => order.length === 2);
    release();
    await until("all come", () => order.length === 4);
    expect(order).toEqual(["1", "reconnect undefined", "overflow 2", "4"]);
  });

  test("of a queue that overflows costs no history, and is told in its place", async () => {
    const order: string[] = [];
    const { inbox, texts } = inboxOf(
      {
        queue: { limit: 2, overflow: "drop-oldest" },
        onGap: ({ count }) => order.push(`${count} missing`),
      },
      async (text) => {
        order.push(text);
        await new Promise(setImmediate);
      },
    );
    for (let i = 1; i <= 5; i++) inbox.replay(message(String(i), true), "s", i);
    inbox.live();
    push(inbox, 6, 9);
    await until("the newest comes", () => texts.at(-1) === "9");
    expect(order).toEqual(["1", "2", "3", "4", "5", "2 missing", "8", "9"]);
  });

  test("of a queue that overflows is told once for all that was dropped meanwhile", async () => {
    const { inbox, texts, gaps } = inboxOf(
      { queue: { limit: 2, overflow: "drop-oldest" } },
      () => new Promise(setImmediate),
    );
    inbox.live();
    push(inbox, 1, 9);
    await until("the newest comes", () => texts.at(-1) === "9");
    expect(texts).toEqual(["1", "8", "9"]);
    expect(gaps).toEqual([{ subject: "x", reason: "overflow", count: 6 }]);
  });
});

describe("an end", () => {
  test("lets go once, whichever way it comes, and closed resolves after it was told why", async () => {
    const { inbox, errors, left } = inboxOf({ queue: { limit: 1 } }, () => new Promise(() => {}));
    inbox.live();
    const closed = inbox.closed.then(() => errors.map(({ code }) => code));
    push(inbox, 1, 5);
    await Promise.all([inbox.unsubscribe(), inbox.unsubscribe()]);
    expect(await closed).toEqual(["ERR_PUBSUB_SLOW"]);
    expect(left()).toBe(1);
    expect(inbox.live()).toBe(true);
    expect(inbox.status).toBe("closed");
    await inbox.closed;
  });

  test("lets go of what waited", async () => {
    const { inbox } = inboxOf({}, () => new Promise(() => {}));
    inbox.replay(message("0", true));
    const waiting: WeakRef<Message>[] = [];
    const fill = (add: (message: Message) => void) => {
      const made = message("1");
      waiting.push(new WeakRef(made));
      add(made);
    };
    fill((it) => inbox.replay(it));
    inbox.live();
    fill((it) => inbox.push(it));
    await inbox.unsubscribe();
    setFlagsFromString("--expose-gc");
    await new Promise(setImmediate);
    runInNewContext("gc")();
    expect(waiting.map((it) => it.deref())).toEqual([undefined, undefined]);
    expect(inbox.status).toBe("closed");
  });

  test("that fails on the wire is an end all the same", async () => {
    const inbox = new Inbox({
      subject: "x",
      handler: () => {},
      leave: () => Promise.reject(new Error("gone")),
    });
    await inbox.unsubscribe();
    await inbox.closed;
  });
});

describe("handlers that publish to each other", () => {
  test("don't exhaust the stack, and lose nothing", async () => {
    const inboxes: Inbox[] = [];
    let handled = 0;
    for (let i = 0; i < 5000; i++) {
      const { inbox } = inboxOf({}, () => {
        handled += 1;
        inboxes[i + 1]?.push(message("on"));
      });
      inbox.live();
      inboxes.push(inbox);
    }
    inboxes[0]?.push(message("go"));
    await until("the last is reached", () => handled === 5000);
  });

  test("see a message before what was published because of it", () => {
    const inboxes: Inbox[] = [];
    const seen: string[][] = [[], []];
    for (const texts of seen) {
      const { inbox } = inboxOf({}, (text) => {
        texts.push(text);
        if (text === "q" && texts === seen[0]) pushAll(inboxes, message("a"));
      });
      inbox.live();
      inboxes.push(inbox);
    }
    pushAll(inboxes, message("q"));
    expect(seen).toEqual([
      ["q", "a"],
      ["q", "a"],
    ]);
  });
});
