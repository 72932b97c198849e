import { expect, test } from "vitest";
import { connect } from "../src/index.ts";
import { testPage } from "./test-page.ts";

const URL_OF_LINE = "/live";

test("opens one socket of the wire's subprotocol, at the page's own site", () => {
  const it = testPage();
  connect(URL_OF_LINE, { host: it.host });
  expect(it.sockets).toHaveLength(1);
  expect(it.socket.url).toBe("wss://app.example/live");
  expect(it.socket.protocols).toEqual(["lanai.channels.2"]);
});

test.each([
  [401, "ERR_SIGNED_OUT", "sign in"],
  [403, "ERR_FORBIDDEN", "origins"],
  [404, "ERR_NOT_FOUND", "channels.middleware()"],
] as const)(
  "a refusal with %i before the 101 is found out with one fetch, and ends the line with %s",
  async (status, code, advice) => {
    const it = testPage();
    const line = connect(`/live?${status}`, { host: it.host });
    it.page.response = { status };
    it.close(1006);
    await it.turn();
    expect(line.state).toBe("ended");
    expect(line.error).toMatchObject({ code });
    expect(line.error?.message).toContain(advice);
    expect(it.requests).toHaveLength(1);
    expect(it.reported).toEqual([line.error]);
    await it.pass(3_600_000);
    expect(it.sockets).toHaveLength(1);
    expect(it.requests).toHaveLength(1);
  },
);

test("a question why a connection was refused that is never answered is given up, and the line goes on", async () => {
  const it = testPage();
  const line = connect("/live?silent", { host: it.host });
  it.page.response = "never";
  it.close(1006);
  await it.pass(9_999);
  expect([line.state, it.sockets.length]).toEqual(["connecting", 1]);
  await it.pass(1_000);
  expect(it.sockets).toHaveLength(2);
  it.open();
  expect(line.state).toBe("open");
});

test("what has ended the line is in the console once in a page's life", async () => {
  const it = testPage();
  for (let i = 0; i < 3; i++) {
    connect("/once", { host: it.host });
    it.close(4401);
  }
  expect(it.reported).toHaveLength(1);
});

test("503 is retried at random times for minutes, heeds Retry-After, and then ends the line", async () => {
  const it = testPage();
  const line = connect("/live?503", { host: it.host });
  it.page.response = { status: 503, headers: { "Retry-After": "30" } };
  it.close(1006);
  await it.turn();
  await it.pass(29_000);
  expect(it.sockets).toHaveLength(1);
  await it.pass(10_000);
  expect(it.sockets).toHaveLength(2);
  it.page.response = { status: 503 };
  const began = it.page.now;
  while (line.state !== "ended" && it.page.now < 7_200_000) {
    if (line.state === "connecting") it.close(1006);
    await it.pass(1_000);
  }
  expect(line.error).toMatchObject({ code: "ERR_UNAVAILABLE" });
  expect(it.page.now - began).toBeGreaterThan(300_000);
  expect(it.page.now - began).toBeLessThan(1_200_000);
});

test("without the network it is tried for as long as it takes, and at once when that is back", async () => {
  const it = testPage();
  const line = connect("/live?offline", { host: it.host });
  for (let i = 0; i < 100; i++) {
    it.close(1006);
    await it.turn();
    await it.pass(30_000);
  }
  it.close(1006);
  await it.turn();
  expect(line.state).toBe("waiting");
  const before = it.sockets.length;
  await it.fire("online");
  await it.pass(1_000);
  expect(it.sockets).toHaveLength(before + 1);
});

test("when the network goes, an open line pings, and drops what doesn't respond within 3 seconds", async () => {
  for (const isAlive of [true, false]) {
    const it = testPage();
    const line = connect(URL_OF_LINE, { host: it.host });
    it.open();
    await it.pass(10_000);
    await it.fire("offline");
    expect(it.socket.sent).toEqual([{ t: "ping" }]);
    await it.pass(2_900);
    expect(line.state).toBe("open");
    if (isAlive) it.receive({ t: "pong" });
    await it.pass(200);
    expect(it.sockets[0]?.isClosed).toBe(!isAlive);
    expect(line.state === "open").toBe(isAlive);
  }
});

test("B3: 4403 comes back at once, and not in a loop if it is told so again and again", async () => {
  const it = testPage();
  connect(URL_OF_LINE, { host: it.host });
  it.open();
  await it.pass(10_000);
  it.close(4403);
  expect(it.sockets).toHaveLength(2);
  it.open();
  it.close(4403);
  expect(it.sockets).toHaveLength(2);
  await it.pass(5_000);
  expect(it.sockets).toHaveLength(3);
});

test("B3: 4401 and 4400 never come back, whatever wakes the page", async () => {
  for (const [code, error] of [
    [4401, "ERR_SIGNED_OUT"],
    [4400, "ERR_MALFORMED"],
  ] as const) {
    const it = testPage();
    const line = connect(`/live?${code}`, { host: it.host });
    it.open();
    const room = line.join("a", {});
    it.receive({ t: "joined", k: "a", retained: true, c: "1" });
    it.close(code);
    expect(line.error).toMatchObject({ code: error });
    expect(room.state).toBe("left");
    for (const name of ["online", "pageshow", "resume", "visibilitychange"]) await it.fire(name);
    await it.pass(3_600_000);
    expect(it.sockets).toHaveLength(1);
    await expect(line.join("b", {}).joined).rejects.toBe(line.error);
  }
});

test("a page that is frozen or cached closes its connection, and comes back at once with its cursor", async () => {
  for (const [away, back] of [
    ["freeze", "resume"],
    ["pagehide", "pageshow"],
  ] as const) {
    const it = testPage();
    const line = connect(URL_OF_LINE, { host: it.host });
    it.open();
    const room = line.join("a", {});
    it.receive({ t: "joined", k: "a", retained: true });
    it.receive({ t: "event", k: "a", e: "said", d: 1, c: "epoch.1" });
    const { socket: before } = it;
    await it.fire(away);
    expect([line.state, before.isClosed]).toEqual(["paused", true]);
    // What was still on its way is not shown: the next join asks for it again.
    const shown: unknown[] = [];
    room.on("said", (data: unknown) => shown.push(data));
    before.onmessage?.({
      data: JSON.stringify({ t: "event", k: "a", e: "said", d: 2, c: "epoch.2" }),
    });
    await it.pass(3_600_000);
    expect(it.sockets).toHaveLength(1);
    await it.fire(back, { persisted: true });
    expect(it.sockets).toHaveLength(2);
    it.open();
    expect(it.socket.sent).toEqual([{ t: "join", p: "a", a: {}, n: 0, s: "epoch.1" }]);
    expect(shown).toEqual([1]);
  }
});

test("a machine that has slept finds out within seconds that nobody is there any more", async () => {
  const it = testPage();
  const line = connect(URL_OF_LINE, { host: it.host });
  it.open();
  await it.pass(10_000);
  // Timers stand still, the clock of the wall doesn't.
  it.page.date += 3_600_000;
  await it.pass(15_000);
  expect(it.socket.sent).toEqual([{ t: "ping" }]);
  await it.pass(3_000);
  expect(line.state).toBe("waiting");
});

test("a page that is seen again asks whether its connection lives, and keeps it if it does", async () => {
  const it = testPage();
  const line = connect(URL_OF_LINE, { host: it.host });
  it.open();
  it.page.visibilityState = "hidden";
  await it.fire("visibilitychange");
  expect(it.socket.sent).toEqual([]);
  it.page.visibilityState = "visible";
  await it.fire("visibilitychange");
  expect(it.socket.sent).toEqual([{ t: "ping" }]);
  it.receive({ t: "pong" });
  await it.pass(20_000);
  expect(line.state).toBe("open");
});

test("a silent server is asked, and left when it doesn't answer", async () => {
  const it = testPage();
  const line = connect(URL_OF_LINE, { host: it.host });
  it.open();
  await it.pass(25_000);
  expect(it.socket.sent).toEqual([{ t: "ping" }]);
  await it.pass(9_999);
  expect(line.state).toBe("open");
  await it.pass(1);
  expect(line.state).toBe("waiting");
});

test("where no WebSocket opens the other transport is tried at once, and the two in turn", async () => {
  const it = testPage();
  const others: string[] = [];
  const line = connect("/live?blocked", {
    host: it.host,
    fallback: (host) =>
      class extends host.WebSocket {
        constructor(url: string, protocols: string[]) {
          super(url, protocols);
          others.push(url);
        }
      },
  });
  it.page.response = { status: 204 };
  it.close(1006);
  await it.turn();
  expect(others).toHaveLength(1);
  it.close(1006);
  await it.turn();
  await it.pass(5_000);
  expect([it.sockets.length, others.length]).toEqual([3, 1]);
  while (line.state !== "ended" && it.page.now < 7_200_000) {
    if (line.state === "connecting") it.close(1006);
    await it.pass(1_000);
  }
  expect(line.error).toMatchObject({ code: "ERR_NO_WEBSOCKET" });
});

test("the token of a session is sent first, kept where it was asked for, and offered to own requests alone", async () => {
  const it = testPage();
  const line = connect(URL_OF_LINE, { host: it.host, token: true, keepToken: "sessionStorage" });
  it.open();
  expect(it.socket.sent).toEqual([{ t: "session" }]);
  it.receive({ t: "session", token: "one" });
  expect([line.token, [...it.storage.values()]]).toEqual(["one", ["one"]]);
  it.page.response = { status: 200, headers: { "Session-ID": "two" } };
  await line.fetch("/api", { headers: { Accept: "text/plain" } });
  expect(it.requests.at(-1)).toEqual({
    url: "https://app.example/api",
    options: { headers: { Accept: "text/plain", "Session-ID": "one" } },
  });
  expect(line.token).toBe("two");
  await line.fetch("https://other.example/api");
  expect(it.requests.at(-1)).toEqual({ url: "https://other.example/api", options: {} });
  const again = testPage();
  again.storage.set("lanai:https://app.example/live", "kept");
  connect(URL_OF_LINE, { host: again.host, token: true, keepToken: "sessionStorage" });
  again.open();
  expect(again.socket.sent).toEqual([{ t: "session", token: "kept" }]);
  again.close(4401);
  expect(again.storage.size).toBe(0);
  const inMemory = testPage();
  connect(URL_OF_LINE, { host: inMemory.host, token: "mine" });
  inMemory.open();
  inMemory.receive({ t: "session", token: "next" });
  expect(inMemory.storage.size).toBe(0);
});

test("B3: 2,000 pages that lose their server at once come back one by one: no tenth of a second has more than a tenth of them", async () => {
  const { randomFrom } = await import("../../../scripts/testing/chance.ts");
  const random = randomFrom(7);
  const attempts: number[] = [];
  for (let i = 0; i < 2_000; i++) {
    const it = testPage(() => random(1_000_000) / 1_000_000);
    connect("/live?herd", { host: it.host });
    it.open();
    await it.pass(10_000);
    it.close(i % 2 ? 1012 : 1006);
    const began = it.page.now;
    it.page.response = { status: 503 };
    for (let tries = 0; tries < 4; tries++) {
      const { length } = it.sockets;
      while (it.sockets.length === length) await it.pass(50);
      attempts.push(it.page.now - began);
      it.close(1006);
      await it.turn();
    }
  }
  const histogram = new Map<number, number>();
  for (const at of attempts) {
    const bin = Math.floor(at / 100);
    histogram.set(bin, (histogram.get(bin) ?? 0) + 1);
  }
  expect(attempts).toHaveLength(8_000);
  expect(Math.max(...histogram.values())).toBeLessThan(200);
});
