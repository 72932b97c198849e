import { NoteSeal } from "@lanai/connection/note-seal";
import { createPubSub, type Gap, memoryPubSub } from "@lanai/pubsub";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Notes } from "../src/bus/notes.ts";
import type { Frame } from "../src/frame.ts";
import { channel, type } from "../src/index.ts";
import { type Occupant, Room, type RoomOptions } from "../src/room/room.ts";

const CHANNEL = channel({ join: () => true, events: { said: { schema: type<number>() } } });
const WITH_EPHEMERAL = channel({
  join: () => true,
  events: { said: { schema: type<number>() }, typing: { schema: type<number>(), ephemeral: true } },
});

/** A listener whose connection takes what the test lets it take. */
class TestOccupant implements Occupant {
  readonly id = Math.random().toString(36);
  readonly frames: { t: string; d?: number; c?: string; [name: string]: unknown }[] = [];
  hasRoom = true;
  isDropped = false;
  #drained: (() => void)[] = [];

  send({ text }: Frame): boolean {
    this.frames.push(JSON.parse(text));
    return this.hasRoom;
  }

  drained(): Promise<void> {
    return this.hasRoom ? Promise.resolve() : new Promise((resolve) => this.#drained.push(resolve));
  }

  drain(): void {
    this.hasRoom = true;
    for (const resolve of this.#drained.splice(0)) resolve();
  }

  dropped(): void {
    this.isDropped = true;
  }

  get shown(): number[] {
    return this.frames.flatMap(({ t, d }) => (t === "event" && d !== undefined ? [d] : []));
  }

  get cursor(): string | undefined {
    return this.frames.findLast(({ c }) => c !== undefined)?.c;
  }
}

/** A process's room on a stream, and how often the bus is asked. */
async function openRoom(recent: number, maxMsgs = 10_000, retained = true) {
  const backend = memoryPubSub();
  if (retained) await backend.ensureStream({ name: "s", subjects: ["channels.>"], maxMsgs });
  const asked = { history: 0, subscribe: 0 };
  /** What the bus has for the second room, while that is behind. */
  const late = {
    isHeld: false,
    held: [] as (() => void)[],
    catchUp(): void {
      late.isHeld = false;
      for (const tell of late.held.splice(0)) tell();
    },
  };
  const onGaps = new Map<string, ((gap: Gap) => void) | undefined>();
  const bus = createPubSub({
    backend: {
      ...{ publish: backend.publish, close: backend.close, ensureStream: backend.ensureStream },
      subscribe: (subject, handler, options) => {
        asked.subscribe += 1;
        onGaps.set(subject, options?.onGap);
        const isSecond = asked.subscribe === 2;
        const receive: typeof handler = (message) =>
          isSecond && late.isHeld ? void late.held.push(() => handler(message)) : handler(message);
        return backend.subscribe(subject, receive, options);
      },
      history: (...args: Parameters<typeof backend.history>) => {
        asked.history += 1;
        return backend.history(...args);
      },
    } as typeof backend,
  });
  const wait = { permission: undefined as Promise<void> | undefined };
  const make = (channel: RoomOptions["channel"] = CHANNEL): Room =>
    new Room({
      ...{ key: "room", channel, bus, scope: "x", node: "n" },
      notes: new Notes(backend, new NoteSeal({ node: "n", purpose: "test" })),
      ...{ prefix: "channels", recent, permission: () => wait.permission },
      ...{ onEnd() {}, onUnsent() {} },
      onError: (error) => {
        throw error;
      },
    });
  const publish = (d: number): Promise<void> => bus.publish("channels.room", { e: "said", d });
  const join = async (room: Room, it: TestOccupant, since?: string, replay = 0): Promise<void> => {
    room.add(it, await room.prepare(it, { since, replay }));
  };
  const gap = (subject: string) => onGaps.get(subject)?.({ subject, reason: "reconnect" });
  return { asked, late, make, publish, join, wait, gap, closeBus: () => bus.close() };
}

test("2,000 listeners that come back are one subscription and one reading of the bus", async () => {
  const { asked, make, publish, join } = await openRoom(256);
  const room = make();
  await room.ready;
  const first = new TestOccupant();
  await join(room, first);
  for (let i = 0; i < 100; i++) await publish(i);
  await expect.poll(() => first.shown.length).toBe(100);
  const all = Array.from({ length: 2_000 }, () => new TestOccupant());
  await Promise.all(all.map((it, i) => join(room, it, first.frames[1 + (i % 100)]?.c)));
  await publish(100);
  await expect.poll(() => all.every((it) => it.shown.at(-1) === 100)).toBe(true);
  for (const [i, it] of all.entries()) expect(it.shown).toHaveLength(100 - (i % 100));
  expect(asked).toEqual({ history: 1, subscribe: 1 });
  await room.close();
});

test("B1: a channel that retains nothing is replayed nothing, however much its process has kept", async () => {
  const { make, publish, join } = await openRoom(256, 10, false);
  const room = make();
  await room.ready;
  const [first, other] = [new TestOccupant(), new TestOccupant()];
  await join(room, first);
  await publish(1);
  await join(room, other, undefined, 100);
  await publish(2);
  await expect.poll(() => first.shown).toEqual([1, 2]);
  await expect.poll(() => other.shown).toEqual([2]);
  await room.close();
});

test("B1: what is missing of ephemeral events is no gap in the channel", async () => {
  const { make, publish, join, gap } = await openRoom(256);
  const room = make(WITH_EPHEMERAL);
  await room.ready;
  const it = new TestOccupant();
  await join(room, it);
  await publish(1);
  await expect.poll(() => it.shown).toEqual([1]);
  gap("channels-now.room");
  await publish(2);
  await expect.poll(() => it.shown).toEqual([1, 2]);
  expect(it.frames.filter(({ t }) => t === "gap")).toEqual([]);
  gap("channels.room");
  await expect.poll(() => it.frames.at(-1)).toMatchObject({ t: "gap", reason: "reconnect" });
  await room.close();
});

test("B1: listeners of any speed, that come back at any moment, receive each message once and in order", async () => {
  const action = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant<"publish">("publish"),
        n: fc.integer({ min: 1, max: 30 }),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constantFrom<("stall" | "drain")[]>("stall", "drain") }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant<"rejoin">("rejoin"), other: fc.boolean() }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant<"turn">("turn") }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constantFrom<("fallBehind" | "catchUp")[]>("fallBehind", "catchUp"),
      }),
    },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 60 }), async (actions) => {
      const { make, publish, join, late } = await openRoom(100);
      const rooms = [make(), make()];
      await Promise.all(rooms.map((it) => it.ready));
      for (const it of rooms) it.hold();
      let published = 0;
      let at = 0;
      let occupant = new TestOccupant();
      let cursor: string | undefined;
      const shown: number[] = [];
      await join(rooms[0] as Room, occupant);
      const leave = (): void => {
        rooms[at]?.remove(occupant);
        shown.push(...occupant.shown);
        cursor = occupant.cursor ?? cursor;
      };
      for (const it of actions) {
        if (it.do === "publish") for (let i = 0; i < it.n; i++) await publish(published++);
        else if (it.do === "stall") occupant.hasRoom = false;
        else if (it.do === "drain") occupant.drain();
        else if (it.do === "turn") await new Promise(setImmediate);
        else if (it.do === "fallBehind") late.isHeld = true;
        else if (it.do === "catchUp") late.catchUp();
        else if (it.do === "rejoin") {
          leave();
          if (it.other && rooms[1 - at]) at = 1 - at;
          const old = occupant;
          occupant = new TestOccupant();
          await join(rooms[at] as Room, occupant, cursor);
          old.drain();
        }
      }
      occupant.drain();
      late.catchUp();
      await publish(published++);
      for (let turn = 0; turn < 500 && occupant.shown.at(-1) !== published - 1; turn++) {
        await new Promise(setImmediate);
      }
      leave();
      expect(shown).toEqual(Array.from({ length: published }, (_, i) => i));
      await Promise.all(rooms.map((it) => it.close()));
    }),
    { numRuns: 200 },
  );
});

test("B1: a listener that is too slow for the stream is told of the gap, in its place", async () => {
  const { make, publish, join } = await openRoom(100, 150);
  const room = make();
  await room.ready;
  const it = new TestOccupant();
  await join(room, it);
  await publish(0);
  it.hasRoom = false;
  for (let i = 1; i <= 500; i++) await publish(i);
  it.drain();
  await expect.poll(() => it.shown.at(-1)).toBe(500);
  const kinds = it.frames.map(({ t }) => t);
  const gap = kinds.indexOf("gap");
  expect(it.frames[gap]).toMatchObject({ reason: "expired" });
  expect(kinds.filter((kind) => kind === "gap")).toHaveLength(1);
  const after = it.frames.slice(gap + 1).map(({ d }) => d as number);
  expect(after).toEqual(Array.from({ length: after.length }, (_, i) => 501 - after.length + i));
  await room.close();
});

test("a channel that nothing retains reports what a slow listener has missed, with its size", async () => {
  const { make, publish, join } = await openRoom(100, 1, false);
  const room = make();
  await room.ready;
  const it = new TestOccupant();
  await join(room, it);
  it.hasRoom = false;
  await publish(0);
  for (let i = 1; i <= 300; i++) await publish(i);
  it.drain();
  await expect.poll(() => it.shown.at(-1)).toBe(300);
  const missed = it.frames.find(({ t }) => t === "gap");
  expect(missed).toMatchObject({ reason: "overflow", count: 301 - it.shown.length });
  await room.close();
});

test("B4: a process that may not deliver holds everything back, and whoever was removed meanwhile receives nothing", async () => {
  const { make, publish, join, wait } = await openRoom(100);
  const room = make();
  await room.ready;
  const [stays, goes] = [new TestOccupant(), new TestOccupant()];
  for (const it of [stays, goes]) await join(room, it);
  await publish(0);
  const { promise, resolve } = Promise.withResolvers<void>();
  wait.permission = promise;
  await publish(1);
  await new Promise(setImmediate);
  expect([stays.shown, goes.shown]).toEqual([[0], [0]]);
  room.remove(goes);
  wait.permission = undefined;
  resolve();
  await expect.poll(() => stays.shown).toEqual([0, 1]);
  await publish(2);
  expect([stays.shown, goes.shown]).toEqual([[0, 1, 2], [0]]);
  await room.close();
});

test("B1: a page that comes back to a process that is behind is not shown again what it has", async () => {
  const { make, publish, join, late } = await openRoom(100);
  const [one, other] = [make(), make()];
  await Promise.all([one.ready, other.ready]);
  other.hold();
  const before = new TestOccupant();
  await join(one, before);
  await publish(1);
  late.isHeld = true;
  await publish(2);
  await publish(3);
  await expect.poll(() => before.shown).toEqual([1, 2, 3]);
  const after = new TestOccupant();
  await join(other, after, before.cursor);
  // Its connection is lost again, before anything has come.
  other.remove(after);
  expect(after.cursor).toBe(before.cursor);
  await join(other, after, after.cursor);
  late.catchUp();
  await publish(4);
  await expect.poll(() => after.shown).toEqual([4]);
  await Promise.all([one.close(), other.close()]);
});

test("B1: a page whose last messages a restored stream has lost is told, and receives what comes next", async () => {
  const { make, publish, join } = await openRoom(100);
  const room = make();
  await room.ready;
  const it = new TestOccupant();
  await join(room, it);
  await publish(1);
  await expect.poll(() => it.shown).toEqual([1]);
  // Of a later message than the stream's last: the broker was restored from before it.
  const later = (it.cursor ?? "").replace(/\d+$/, (position) => `${Number(position) + 5}`);
  const after = new TestOccupant();
  await join(room, after, later);
  await publish(2);
  await expect.poll(() => after.shown).toEqual([2]);
  expect(after.frames.map(({ t }) => t)).toEqual(["joined", "gap", "event"]);
  await room.close();
});

test("when the bus ends the subscription of a room, all in it are told to join again, and get nothing more", async () => {
  const { make, publish, join, closeBus } = await openRoom(256);
  const room = make();
  await room.ready;
  const [fast, slow] = [new TestOccupant(), new TestOccupant()];
  await join(room, fast);
  await join(room, slow);
  slow.hasRoom = false;
  for (let i = 0; i < 10; i++) await publish(i);
  await expect.poll(() => fast.shown.length).toBe(10);
  await closeBus();
  await expect.poll(() => [fast.isDropped, slow.isDropped]).toEqual([true, true]);
  const before = slow.shown;
  expect(before.length).toBeLessThan(10);
  slow.drain();
  await new Promise(setImmediate);
  expect(slow.shown).toEqual(before);
  expect(room.size).toBe(0);
});
