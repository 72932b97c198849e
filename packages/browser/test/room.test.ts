import { expect, test } from "vitest";
import { connect } from "../src/index.ts";
import { testPage } from "./test-page.ts";

const JOINED = { t: "joined", k: "room.a", retained: true, calls: "one.7" };

function joined(options: object = {}) {
  const it = testPage();
  const line = connect("/live", { host: it.host, ...options });
  it.open();
  const room = line.join("room.:id", { id: "a" });
  it.receive(JOINED);
  const calls = () => it.socket.sent.filter(({ t }) => t === "call");
  return { it, line, room, calls };
}

test("joins with encoded parameters, once for the same channel", () => {
  const it = testPage();
  const line = connect("/live", { host: it.host });
  it.open();
  const room = line.join("room.:id", { id: "a.b *>é" }, { replay: 5 });
  expect(line.join("room.:id", { id: "a.b *>é" })).toBe(room);
  expect(it.socket.sent).toEqual([{ t: "join", p: "room.:id", a: { id: "a.b *>é" }, n: 5 }]);
  it.receive({ ...JOINED, k: "room.a%2Eb%20%2A%3E%C3%A9" });
  expect(room.state).toBe("joined");
});

test("what comes before the first handler waits for it, in order, with the gaps between", async () => {
  const { it, room } = joined();
  for (let d = 0; d < 3; d++) it.receive({ t: "event", k: "room.a", e: "said", d, c: `e.${d}` });
  it.receive({ t: "gap", k: "room.a", reason: "expired", count: 2 });
  it.receive({ t: "event", k: "room.a", e: "left-out", d: 3, c: "e.6" });
  const seen: unknown[] = [];
  room.on("said", (d: unknown) => seen.push(d));
  room.on("gap", (gap) => seen.push(gap));
  room.on("left-out", (d: unknown) => seen.push(d));
  expect(seen).toEqual([]);
  await it.turn();
  expect(seen).toEqual([0, 1, 2, { reason: "expired", count: 2 }, 3]);
});

test("B1: a channel that retains nothing reports that what went by is missing", async () => {
  const { it, room } = joined();
  const gaps: unknown[] = [];
  room.on("said", () => {});
  room.on("gap", (gap) => gaps.push(gap));
  await it.turn();
  it.close(1012);
  await it.pass(5_000);
  it.open();
  it.receive({ ...JOINED, retained: false });
  expect(gaps).toEqual([{ reason: "reconnect" }]);
});

test.each(["the connection is lost", "it is refused again"])(
  "B1: a page that waits to join again asks once, also if %s meanwhile",
  async (what) => {
    const { it } = joined();
    it.receive({ t: "event", k: "room.a", e: "said", d: 1, c: "e.1" });
    it.receive({ t: "left", k: "room.a", code: "ERR_UNAVAILABLE" });
    if (what === "it is refused again") {
      it.receive({ t: "left", k: "room.a", code: "ERR_UNAVAILABLE" });
    } else {
      it.close(4403);
      it.open();
    }
    await it.pass(5_000);
    // The second would bring all once more that comes after the first.
    expect(it.socket.sent.filter(({ t, s }) => t === "join" && s === "e.1")).toHaveLength(1);
  },
);

test("a handler that throws is reported and keeps nobody from the next event", async () => {
  const { it, room } = joined();
  const seen: unknown[] = [];
  room.on("said", () => {
    throw new Error("of the page");
  });
  room.on("said", (d: unknown) => seen.push(d));
  await it.turn();
  it.receive({ t: "event", k: "room.a", e: "said", d: 1 });
  expect(seen).toEqual([1]);
  expect(it.reported).toMatchObject([{ message: "of the page" }]);
});

test("B2: a call that never left the page is sent after the rejoin", async () => {
  const { it, room } = joined();
  it.close(1012);
  const result = room.call("say", { text: "x" });
  await it.pass(5_000);
  it.open();
  it.receive(JOINED);
  const [call] = it.socket.sent.filter(({ t }) => t === "call");
  expect(call).toMatchObject({ k: "room.a", m: "say", d: { text: "x" } });
  it.receive({ t: "result", i: call?.i, d: 1 });
  expect(await result).toBe(1);
});

test("B2: a call without a result is sent again under its id, but not once the server may have forgotten it", async () => {
  for (const clock of ["now", "date"] as const) {
    const { it, room, calls } = joined();
    const result = room.call("say", 1, { timeout: 1_000_000 });
    const failed = result.catch((error: unknown) => error);
    const [first] = calls();
    it.close(1012);
    await it.pass(5_000);
    it.open();
    it.receive({ ...JOINED, calls: "one.9" });
    expect(calls()).toEqual([{ ...first, s: "one.7" }]);
    it.close(4403);
    // Asleep: one of the clocks stands still.
    it.page[clock] += 61_000;
    await it.pass(5_000);
    it.open();
    it.receive(JOINED);
    expect(calls()).toEqual([]);
    expect(await failed).toMatchObject({ code: "ERR_OUTCOME_UNKNOWN" });
  }
});

test("B2: a call is not sent again by the word of a server that keeps no record of calls", async () => {
  const { it, room, calls } = joined();
  it.receive({ ...JOINED, calls: undefined });
  const failed = room.call("say", 1).catch((error: unknown) => error);
  it.close(1012);
  await it.pass(5_000);
  it.open();
  it.receive(JOINED);
  expect(calls()).toEqual([]);
  expect(await failed).toMatchObject({ code: "ERR_OUTCOME_UNKNOWN" });
});

test("B2: a call that crossed the loss of its room is sent again with the next join", async () => {
  const { it, room, calls } = joined();
  const result = room.call("say", 1);
  const [call] = calls();
  it.receive({ t: "failed", i: call?.i, code: "ERR_NOT_JOINED" });
  it.receive({ t: "left", k: "room.a", code: "ERR_UNAVAILABLE" });
  await it.pass(3_000);
  it.receive(JOINED);
  expect(calls()).toEqual([call, call]);
  it.receive({ t: "result", i: call?.i, d: 2 });
  expect(await result).toBe(2);
});

test("B2: the outcome of a call that was sent is unknown when time is up, and that of one that wasn't is known", async () => {
  const { it, room } = joined();
  const code = (it: Promise<unknown>): Promise<unknown> =>
    it.catch((error: { code: unknown }) => error.code);
  const sent = code(room.call("say", 1, { timeout: 50 }));
  await it.pass(100);
  expect(await sent).toBe("ERR_OUTCOME_UNKNOWN");
  it.close(1012);
  const unsent = code(room.call("say", 1, { timeout: 50 }));
  await it.pass(100);
  expect(await unsent).toBe("ERR_TIMEOUT");
});

test("the queue of calls is bounded, by its policy, and so is the size of a call", async () => {
  for (const [overflow, failing] of [
    ["reject", 2],
    ["drop-oldest", 0],
  ] as const) {
    const { it, room } = joined({ queue: { limit: 2, overflow } });
    it.close(1012);
    const results = [0, 1, 2].map((i) => room.call("say", i).catch((error: unknown) => error));
    await it.turn();
    expect(await results[failing]).toMatchObject({ code: "ERR_QUEUE_FULL" });
    await expect(room.call("say", "x".repeat(2_000))).rejects.toMatchObject({
      code: "ERR_TOO_LARGE",
    });
  }
});

test("a refused join says why, rejects what waits, and is not tried again", async () => {
  const it = testPage();
  const line = connect("/live", { host: it.host });
  it.open();
  const room = line.join("room.:id", { id: "a" });
  const call = room.call("say", 1).catch((error: unknown) => error);
  it.receive({
    t: "refused",
    p: "room.:id",
    a: { id: "a" },
    code: "ERR_REFUSED",
    reason: "Members only.",
  });
  await expect(room.joined).rejects.toMatchObject({
    code: "ERR_REFUSED",
    message: "room.a: Members only.",
  });
  expect(await call).toMatchObject({ code: "ERR_REFUSED" });
  await it.pass(600_000);
  expect(it.sockets.flatMap(({ sent }) => sent).filter(({ t }) => t === "join")).toHaveLength(1);
});

test("B4: a page that is removed confirms it after what it received before, also where it has left already", () => {
  const { it, room } = joined();
  it.receive({ t: "left", k: "room.a", code: "ERR_REFUSED", i: "one" });
  it.receive({ t: "left", k: "room.a", code: "ERR_REFUSED", i: "two" });
  expect(it.socket.sent.filter(({ t }) => t === "ack").map(({ i }) => i)).toEqual(["one", "two"]);
  expect(room.state).toBe("left");
});

test("members are kept current by a snapshot and differences", () => {
  const { it, room } = joined();
  const member = (id: string) => ({ id, data: { name: id } });
  it.receive({ t: "members", k: "room.a", all: [member("a"), member("b")] });
  it.receive({ t: "members", k: "room.a", come: [member("c")], go: ["a"] });
  expect(room.members.map(({ id }) => id)).toEqual(["b", "c"]);
});
