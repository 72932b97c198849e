import { randomUUID } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { connect, type Line } from "@lanai/browser";
import { fallback } from "@lanai/browser/fallback";
import { memoryStore } from "@lanai/session";
import { expect, test } from "vitest";
import type { WebSocket } from "ws";
import { hostOf, rawPage } from "./page.ts";
import {
  type Backend,
  type Live,
  newDesk,
  type Site,
  type SiteOptions,
  startSite,
} from "./site.ts";

const ROOM = "room.:id" as const;
const said = (site: Site, id: string, text: string): Promise<void> =>
  site.channels.publish(ROOM, { id }, "said", { text });
const texts = (first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, i) => `${first + i}`);

/** A tab in a room, which writes down what it shows. */
function tab(line: Line<Live>, id: string, replay = 0) {
  const room = line.join(ROOM, { id }, { replay });
  const shown: string[] = [];
  const gaps: unknown[] = [];
  room.on("said", ({ text }) => shown.push(text));
  room.on("gap", (gap) => gaps.push(gap));
  return { room, shown, gaps };
}

/**
 * What holds on every backend, with two processes: each opens the backend by itself.
 *
 * @param open - Opens the backend once more; what is retained is the same.
 * @param keys - Authenticate what the processes tell each other.
 */
export function channelsOn(
  name: string,
  open: () => Promise<Backend>,
  keys?: readonly string[],
): void {
  const two = async (options: SiteOptions = {}) => {
    const [one, other] = [await open(), await open()];
    const stream = `channels-${randomUUID()}`;
    await one.ensureStream({ name: stream, subjects: ["channels.>"], maxMsgs: 100_000 });
    const common = { store: memoryStore(), desk: newDesk(), ...(keys && { keys }), ...options };
    const first = await startSite(one, common);
    const second = await startSite(other, common);
    const lines: Line<Live>[] = [];
    return {
      ...{ first, second, desk: common.desk },
      line(site: Site, cookie: string | (() => string), sockets: WebSocket[] = []) {
        const host = hostOf(cookie, sockets);
        const line = connect<Live>(`${site.url}/live`, { host, fallback });
        lines.push(line);
        return line;
      },
      async [Symbol.asyncDispose]() {
        for (const line of lines) line.close();
        await first[Symbol.asyncDispose]();
        await second[Symbol.asyncDispose]();
        await Promise.all([one.close(), other.close()]);
      },
    };
  };

  test(`history, then live messages of two processes, in one order for everybody (${name})`, async () => {
    await using sites = await two();
    const { first, second } = sites;
    for (const text of texts(1, 5)) await said(first, "a.b", text);
    const cookie = await first.visit("/sign-in?user=ada");
    const one = tab(sites.line(first, cookie), "a.b", 3);
    const other = tab(sites.line(second, cookie), "a.b", 3);
    await Promise.all([one.room.joined, other.room.joined]);
    await Promise.all(texts(6, 30).map((text, i) => said(i % 2 ? first : second, "a.b", text)));
    for (const { shown } of [one, other]) await expect.poll(() => shown.length).toBe(28);
    expect(one.shown).toEqual(other.shown);
    expect([...one.shown].sort()).toEqual(texts(3, 30).sort());
    expect(one.shown.slice(0, 3)).toEqual(texts(3, 5));
    expect([...one.gaps, ...other.gaps]).toEqual([]);
  });

  test(`history returns the last retained events, and an event published again with its id is one (${name})`, async () => {
    await using sites = await two();
    const { first, second } = sites;
    for (const text of texts(1, 4)) {
      for (const { channels } of [first, second]) {
        await channels.publish(ROOM, { id: "h" }, "said", { text }, { messageId: `m-${text}` });
      }
    }
    await first.bus.publish("channels.room.h", "of another program");
    const events = await second.channels.history(ROOM, { id: "h" }, 4);
    expect(events.map(({ event, data }) => [event, data])).toEqual(
      texts(2, 4).map((text) => ["said", { text }]),
    );
    expect(await second.channels.history(ROOM, { id: "other" }, 4)).toEqual([]);
  });

  test(`B1: a page resumes at another process, also where the cursor is older than what that keeps (${name})`, async () => {
    await using sites = await two({ channels: { recent: 10 } });
    const { first, second } = sites;
    const cookie = await first.visit("/sign-in?user=ada");
    const away = tab(sites.line(second, cookie), "a");
    await away.room.joined;
    const before = await rawPage(first.port, cookie);
    before.send({ t: "join", p: ROOM, a: { id: "a" } });
    await before.receives({ t: "joined" });
    await said(first, "a", "1");
    const { c: cursor } = await before.receives({ t: "event" });
    before.socket.terminate();
    for (const text of texts(2, 450)) await said(first, "a", text);
    const after = await rawPage(second.port, cookie);
    after.send({ t: "join", p: ROOM, a: { id: "a" }, s: cursor });
    expect(await after.receives({ t: "joined" })).toMatchObject({ resumed: true, retained: true });
    await said(second, "a", "451");
    const events = () => after.frames.filter((it) => it.t === "event");
    await expect.poll(() => events().length).toBe(450);
    expect(events().map(({ d }) => (d as { text: string }).text)).toEqual(texts(2, 451));
    expect(after.frames.filter((it) => it.t === "gap")).toEqual([]);
    await expect.poll(() => away.shown).toEqual(texts(1, 451));
    after.socket.terminate();
  });

  test(`B1: a cursor that can't be resumed is a gap, and nothing is shown twice (${name})`, async () => {
    await using sites = await two();
    const { first } = sites;
    const cookie = await first.visit("/sign-in?user=ada");
    for (const text of texts(1, 3)) await said(first, "a", text);
    for (const s of ["x", "epoch.1", "AAAAAAAAAAAA:1-1", "1:99999"]) {
      const page = await rawPage(first.port, cookie);
      page.send({ t: "join", p: ROOM, a: { id: "a" }, n: 10, s });
      expect(await page.receives({ t: "joined" })).toMatchObject({ resumed: false });
      await page.receives({ t: "gap", reason: "cursor" });
      page.send({ t: "ping" });
      await page.receives({ t: "pong" });
      expect(page.frames.filter((it) => it.t === "event")).toEqual([]);
      page.socket.terminate();
    }
  });

  test(`presence has a snapshot, then differences, across processes (${name})`, async () => {
    await using sites = await two();
    const { first, second } = sites;
    const names = ({ room }: ReturnType<typeof tab>) =>
      room.members.map((it) => it.data.name).sort();
    const [ada, bob] = [
      await first.visit("/sign-in?user=ada"),
      await second.visit("/sign-in?user=bob"),
    ];
    const one = tab(sites.line(first, ada), "a");
    await expect.poll(() => names(one)).toEqual(["ada"]);
    const line = sites.line(second, bob);
    const other = tab(line, "a");
    await expect.poll(() => names(other)).toEqual(["ada", "bob"]);
    await expect.poll(() => names(one)).toEqual(["ada", "bob"]);
    // Somebody with two tabs is one member until the second has gone.
    const again = sites.line(first, bob);
    const third = tab(again, "a");
    await expect.poll(() => names(third)).toEqual(["ada", "bob"]);
    line.close();
    await said(first, "a", "1");
    await expect.poll(() => one.shown).toEqual(["1"]);
    expect(names(one)).toEqual(["ada", "bob"]);
    again.close();
    await expect.poll(() => names(one)).toEqual(["ada"]);
  });

  test(`ephemeral events reach both processes and are not retained (${name})`, async () => {
    await using sites = await two();
    const { first, second } = sites;
    const cookie = await first.visit("/sign-in?user=ada");
    const one = tab(sites.line(first, cookie), "a");
    const typing: string[] = [];
    one.room.on("typing", ({ by }) => typing.push(by));
    await one.room.joined;
    await second.channels.publish(ROOM, { id: "a" }, "typing", { by: "bob" });
    await expect.poll(() => typing).toEqual(["bob"]);
    const late = tab(sites.line(first, cookie), "a", 10);
    late.room.on("typing", ({ by }) => typing.push(by));
    await said(second, "a", "1");
    await expect.poll(() => late.shown).toEqual(["1"]);
    expect(typing).toEqual(["bob"]);
  });

  test(`B2: a call that reaches two processes is handled once, and both return its result (${name})`, async () => {
    await using sites = await two();
    const { first, second, desk } = sites;
    const cookie = await first.visit("/sign-in?user=ada");
    const pages = [await rawPage(first.port, cookie), await rawPage(second.port, cookie)];
    for (const page of pages) {
      page.send({ t: "join", p: ROOM, a: { id: "a" } });
      await page.receives({ t: "joined" });
    }
    const ids = texts(10, 39).map((it) => `0123456789abcd${it}`);
    for (const i of ids) {
      for (const page of pages) page.send({ t: "call", k: "room.a", i, m: "say", d: { text: i } });
    }
    for (const page of pages) {
      for (const i of ids) {
        expect(await page.receives({ i })).toMatchObject({ t: "result", d: { length: 16 } });
      }
    }
    expect([...desk.handled].sort()).toEqual(ids);
    for (const page of pages) page.socket.terminate();
  });

  test(`B2: a sign-in between two sendings of a call doesn't make it run twice (${name})`, async () => {
    await using sites = await two();
    const { first, second, desk } = sites;
    const guest = await first.visit("/");
    const before = await rawPage(first.port, guest);
    const call = { t: "call", k: "room.a", i: "0123456789abcdef", m: "say", d: { text: "x" } };
    before.send({ t: "join", p: ROOM, a: { id: "a" } });
    await before.receives({ t: "joined" });
    before.send(call);
    await before.receives({ t: "result" });
    const cookie = await second.visit("/sign-in?user=ada");
    const after = await rawPage(second.port, cookie);
    after.send({ t: "join", p: ROOM, a: { id: "a" } });
    await after.receives({ t: "joined" });
    after.send(call);
    await after.receives({ t: "result" });
    expect(desk.handled).toEqual(["x"]);
    for (const page of [before, after]) page.socket.terminate();
  });

  test(`B4: nothing arrives after remove has resolved, in any process, under load (${name})`, async () => {
    await using sites = await two();
    const { first, second, desk } = sites;
    const cookie = await first.visit("/sign-in?user=ada");
    const bystander = tab(sites.line(first, await first.visit("/sign-in?user=bob")), "a");
    const tabs = [first, second, first, second].map((site) => tab(sites.line(site, cookie), "a"));
    await Promise.all([...tabs, bystander].map((it) => it.room.joined));
    let isOver = false;
    let published = 0;
    const load = (async () => {
      while (!isOver) {
        const four = [1, 2, 3, 4].map(() => published++);
        await Promise.all(four.map((i) => said(i % 2 ? first : second, "a", `${i}`)));
        // A bus in memory gives nobody else a turn.
        await nextTurn();
      }
    })();
    for (const { shown } of tabs) await expect.poll(() => shown.length).toBeGreaterThan(20);
    desk.allow = (user) => user !== "ada";
    await second.channels.remove({ user: "ada" }, ROOM, { id: "a" });
    const then = tabs.map(({ shown }) => shown.length);
    expect(tabs.map(({ room }) => room.state)).toEqual(["left", "left", "left", "left"]);
    const since = published;
    await expect.poll(() => published).toBeGreaterThan(since + 100);
    isOver = true;
    await load;
    await expect.poll(() => bystander.shown.length).toBe(published);
    expect(tabs.map(({ shown }) => shown.length)).toEqual(then);
  });

  test(`B4: a right that is withdrawn without a word is lost at the next check, and a sign-in is checked at once (${name})`, async () => {
    await using sites = await two({ channels: { revalidateInterval: 100 } });
    const { first, desk } = sites;
    desk.allow = (user) => user !== undefined;
    let cookie = await first.visit("/");
    const line = sites.line(first, () => cookie);
    await expect.poll(() => line.state).toBe("open");
    const before = line.join(ROOM, { id: "a" });
    await expect(before.joined).rejects.toMatchObject({ code: "ERR_REFUSED" });
    const states: string[] = [];
    line.on("state", (state) => states.push(state));
    cookie = await first.visit("/sign-in?user=ada", cookie);
    await expect.poll(() => states).toEqual(["connecting", "open"]);
    const after = tab(line, "a");
    await after.room.joined;
    desk.allow = () => false;
    await expect.poll(() => after.room.state).toBe("left");
  });

  test(`B4: a right that is withdrawn without a word is lost when the session is renewed (${name})`, async () => {
    await using sites = await two({ channels: { revalidateInterval: 3_600_000 } });
    const { first, second, desk } = sites;
    let cookie = await first.visit("/sign-in?user=ada");
    const line = sites.line(first, () => cookie);
    const { room, shown } = tab(line, "a");
    await room.joined;
    const reasons: unknown[] = [];
    room.on("left", ({ code }) => reasons.push(code));
    desk.allow = () => false;
    cookie = await second.visit("/renew", cookie);
    await expect.poll(() => reasons).toEqual(["ERR_REFUSED"]);
    expect(line.state).toBe("open");
    await said(second, "a", "1");
    expect([room.state, ...shown]).toEqual(["left"]);
  });

  test(`the fallback goes to any process, and resumes like a WebSocket (${name})`, async () => {
    await using sites = await two();
    const { first, second, desk } = sites;
    const cookie = await first.visit("/sign-in?user=ada");
    const host = hostOf(cookie);
    let requests = 0;
    const posted: number[] = [];
    // A balancer without sticky sessions, through which no WebSocket goes.
    class Blocked {
      onclose: ((event: { code: number }) => void) | null = null;
      constructor() {
        setTimeout(() => this.onclose?.({ code: 1006 }));
      }
      close() {}
    }
    const line = connect<Live>("http://site.example/live", {
      fallback,
      host: {
        ...host,
        WebSocket: Blocked as never,
        async fetch(url, init) {
          const { port } = requests++ % 2 ? first : second;
          const response = await host.fetch(url.replace("site.example", `127.0.0.1:${port}`), init);
          if ((init as { body?: string }).body) posted.push(response.status);
          return response;
        },
      },
    });
    const one = tab(line, "a");
    for (const text of texts(1, 8)) {
      expect(await one.room.call("say", { text })).toMatchObject({ by: "ada" });
    }
    await expect.poll(() => one.shown).toEqual(texts(1, 8));
    expect(desk.handled).toEqual(texts(1, 8));
    expect(new Set(posted)).toEqual(new Set([204]));
    first.server.closeAllConnections();
    second.server.closeAllConnections();
    await said(first, "a", "9");
    await expect.poll(() => one.shown).toEqual(texts(1, 9));
    expect(one.gaps).toEqual([]);
    line.close();
  });
}
