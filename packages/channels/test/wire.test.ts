import { once } from "node:events";
import { request } from "node:http";
import { memoryPubSub } from "@lanai/pubsub";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isLong } from "../../../scripts/testing/chance.ts";
import { reported } from "../../../scripts/testing/reported.ts";
import type { ChannelsEvent } from "../src/events.ts";
import { hostOf, rawPage, streamPage } from "./page.ts";
import { newDesk, type Site, startSite } from "./site.ts";

let site: Site;
let cookie: string;

beforeEach(async () => {
  const backend = memoryPubSub();
  await backend.ensureStream({ name: "channels", subjects: ["channels.>"] });
  site = await startSite(backend, {
    desk: newDesk(),
    channels: { maxChannels: 1_000, joinRate: 10_000, rate: { messages: 10_000, bytes: Infinity } },
  });
  cookie = await site.visit("/sign-in?user=ada");
});
afterEach(() => site[Symbol.asyncDispose]());

const join = (id: unknown): object => ({ t: "join", p: "room.:id", a: { id } });

test("B4: whatever the parameters are, a join reaches its own room alone or is refused", async () => {
  using page = await rawPage(site.port, cookie);
  const strange = ["*", ">", "a.b", "a.>", "%", "%2E", "$lanai.x", ".", " ", "\n", "\0", "é", "😀"];
  const ids = new Set([...strange, "e\u0301", "..", "__proto__", "x".repeat(128), "\uFEFF"]);
  for (const id of ids) page.send(join(id));
  for (const id of ids) await site.channels.publish("room.:id", { id }, "said", { text: id });
  const events = () => page.frames.filter((it) => it.t === "event");
  const joined = () => page.frames.filter((it) => it.t === "joined");
  await expect.poll(() => joined().length).toBe(ids.size);
  for (const id of ids) await site.channels.publish("room.:id", { id }, "said", { text: `+${id}` });
  await expect.poll(() => events().filter((it) => text(it).startsWith("+")).length).toBe(ids.size);
  expect(new Set(joined().map((it) => it.k)).size).toBe(ids.size);
  const keys = new Map(events().map((it) => [text(it), it.k]));
  expect(new Set(keys.values()).size).toBe(ids.size);
  const wrong = ["", "x".repeat(129), "x".repeat(60_000), "\uD800", 1, null, {}, ["a"], undefined];
  const before = page.frames.length;
  for (const id of wrong) page.send(join(id));
  page.send({ t: "join", p: "room.:id", a: { id: "a", other: "b" } });
  page.send({ t: "join", p: "room.*", a: {} });
  page.send({ t: "join", p: "__proto__", a: {} });
  page.send({ t: "join", p: "room.:id", a: null });
  const since = () => page.frames.slice(before).filter((it) => it.t !== "members");
  await expect.poll(() => since().length).toBe(wrong.length + 4);
  for (const it of since()) expect(it).toMatchObject({ t: "refused", code: "ERR_UNKNOWN" });
});
const text = ({ d }: Readonly<Record<string, unknown>>): string => (d as { text: string }).text;

test("B4: no frame of any form ends the process or an error of its own, and 1 MB is refused", async () => {
  const frames = fc.oneof(
    fc.json(),
    fc.string({ unit: "binary" }),
    fc.record({
      t: fc.constantFrom(
        "join",
        "leave",
        "call",
        "session",
        "ack",
        "ping",
        "pong",
        "joined",
        1,
        null,
      ),
      p: fc.oneof(fc.constantFrom("room.:id", "room.>", ""), fc.anything()),
      a: fc.oneof(fc.record({ id: fc.string({ unit: "binary" }) }), fc.anything()),
      ...{
        k: fc.anything(),
        i: fc.anything(),
        m: fc.anything(),
        d: fc.anything(),
        n: fc.anything(),
        s: fc.anything(),
      },
    }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(frames, { minLength: 1, maxLength: 10 }), async (all) => {
      using page = await rawPage(site.port, cookie);
      for (const it of all)
        page.send(typeof it === "string" ? it : (JSON.stringify(it, plain) ?? ""));
      page.send({ t: "ping" });
      await expect
        .poll(() => page.code ?? page.frames.find((it) => it.t === "pong")?.t, { interval: 5 })
        .toSatisfy((it) => it === 4400 || it === "pong");
    }),
    { numRuns: isLong ? 2_000 : 30 },
  );
  using large = await rawPage(site.port, cookie);
  large.send({ ...join("a"), a: { id: "x".repeat(2 ** 20 - 200) } });
  await expect.poll(() => large.code).toBe(4400);
  expect(site.errors).toEqual([]);
  using after = await rawPage(site.port, cookie);
  after.send(join("a"));
  await after.receives({ t: "joined" });
});
const plain = (_key: string, value: unknown): unknown => (typeof value === "bigint" ? 1 : value);

test("a page has as many channels, joins and calls at once as the options say", async () => {
  const few = await startSite(memoryPubSub(), {
    channels: { maxChannels: 2, joinRate: 1, maxCalls: 1 },
  });
  const visitor = await few.visit("/sign-in?user=ada");
  using page = await rawPage(few.port, visitor);
  for (const id of ["a", "b", "c", "d", "e"]) page.send(join(id));
  await expect.poll(() => page.frames.filter((it) => it.t === "refused").length).toBe(3);
  const codes = page.frames.filter((it) => it.t === "refused").map((it) => it.code);
  expect(codes.sort()).toEqual(["ERR_LIMIT", "ERR_LIMIT", "ERR_UNAVAILABLE"]);
  const call = (i: string) => ({ t: "call", k: "room.a", i, m: "say", d: { text: i } });
  page.send(call("0123456789abcde1"));
  page.send(call("0123456789abcde2"));
  await page.receives({ t: "failed", code: "ERR_LIMIT" });
  await page.receives({ t: "result" });
  await few[Symbol.asyncDispose]();
});

test("B2: a call that is sent again to a server that was started anew is not handled", async () => {
  using page = await rawPage(site.port, cookie);
  page.send(join("a"));
  const { calls } = await page.receives({ t: "joined" });
  const call = (i: string, s: unknown) => ({
    ...{ t: "call", k: "room.a", m: "say", d: { text: i } },
    ...{ i, s },
  });
  // The place of another server's record, and this one's.
  page.send(call("0123456789abcde1", "another.1"));
  page.send(call("0123456789abcde2", calls));
  page.send(call("0123456789abcde3", undefined));
  await expect.poll(() => page.frames.filter((it) => it.t === "event").length).toBe(2);
  expect(await page.receives({ t: "failed" })).toMatchObject({
    ...{ i: "0123456789abcde1", code: "ERR_OUTCOME_UNKNOWN" },
  });
  const texts = page.frames.filter((it) => it.t === "event").map(text);
  expect(texts.sort()).toEqual(["0123456789abcde2", "0123456789abcde3"]);
  // No form of it does harm.
  page.send(call("0123456789abcde4", 1));
  await expect.poll(() => page.code).toBe(4400);
});

test("B2: a handler's error reaches the page only if it is exposed", async () => {
  using page = await rawPage(site.port, cookie);
  page.send(join("a"));
  await page.receives({ t: "joined" });
  const call = (i: string, expose: boolean) => ({
    t: "call",
    k: "room.a",
    i,
    m: "fail",
    d: { expose },
  });
  page.send(call("0123456789abcde1", true));
  page.send(call("0123456789abcde2", false));
  expect(await page.receives({ i: "0123456789abcde1" })).toMatchObject({
    code: "ERR_NO",
    message: "no",
  });
  const hidden = await page.receives({ i: "0123456789abcde2" });
  expect(hidden).toEqual({ t: "failed", i: "0123456789abcde2", code: "ERR_CALL_FAILED" });
  expect(site.errors).toHaveLength(1);
});

test("a page of the previous wire works: history, live messages, a call, and what it may no longer see", async () => {
  const kept: typeof import("@lanai/browser") = await import(
    // @ts-expect-error It is a file without types, as it was published.
    "./pages/lanai.channels.1.js"
  );
  await site.channels.publish("room.:id", { id: "a" }, "said", { text: "1" });
  const host = hostOf(cookie);
  const line = kept.connect<import("./site.ts").Live>(`${site.url}/live`, { host });
  const room = line.join("room.:id", { id: "a" }, { replay: 5 });
  const shown: string[] = [];
  room.on("said", ({ text: it }) => shown.push(it));
  expect(await room.call("say", { text: "2" })).toEqual({ length: 1, by: "ada" });
  await expect.poll(() => shown).toEqual(["1", "2"]);
  await expect.poll(() => room.members.map((it) => it.data)).toEqual([{ name: "ada" }]);
  // It can't confirm that it left: its connection ends, it comes back, and it may not join.
  site.desk.allow = () => false;
  await site.channels.remove({ user: "ada" }, "room.:id", { id: "a" });
  await site.channels.publish("room.:id", { id: "a" }, "said", { text: "3" });
  await expect.poll(() => room.state).toBe("left");
  expect(shown).toEqual(["1", "2"]);
  line.close();
});

test("B4: a page that confirms that it left is sent nothing more, whatever it does with that", async () => {
  using page = await rawPage(site.port, cookie);
  page.send(join("a"));
  await page.receives({ t: "joined" });
  const removed = site.channels.remove({ user: "ada" }, "room.:id", { id: "a" });
  const { i } = await page.receives({ t: "left", code: "ERR_REFUSED" });
  page.send({ t: "ack", i });
  await removed;
  await site.channels.publish("room.:id", { id: "a" }, "said", { text: "after" });
  page.send({ t: "ping" });
  await page.receives({ t: "pong" });
  expect(page.frames.filter((it) => it.t === "event")).toEqual([]);
});

test("B4: a page that doesn't confirm that it left is cut off before remove resolves", async () => {
  using page = await rawPage(site.port, cookie);
  page.send(join("a"));
  await page.receives({ t: "joined" });
  page.socket.pause();
  await site.channels.remove({ user: "ada" }, "room.:id", { id: "a" });
  page.socket.resume();
  await expect.poll(() => page.code).toBeDefined();
  expect(page.frames.at(-1)).toMatchObject({ t: "left", code: "ERR_REFUSED" });
});

test("lines of tabs that share a connection are apart, and a left channel of one stays for the other", async () => {
  using page = await rawPage(site.port, cookie);
  const texts: string[] = [];
  page.socket.removeAllListeners("message");
  page.socket.on("message", (data) => texts.push(String(data)));
  for (const id of ["tab-number-1", "tab-number-2"]) {
    page.send(`@${id} ${JSON.stringify(join("a"))}`);
    await expect
      .poll(() => texts.filter((it) => it.startsWith(`@${id} {"t":"joined"`)))
      .toHaveLength(1);
  }
  const said = () => texts.filter((it) => it.includes('"t":"event"')).map((it) => it.slice(0, 13));
  await site.channels.publish("room.:id", { id: "a" }, "said", { text: "1" });
  await expect.poll(said).toEqual(["@tab-number-1", "@tab-number-2"]);
  page.send("@tab-number-1");
  await expect.poll(() => site.channels.size.listeners).toBe(2);
  await site.channels.publish("room.:id", { id: "a" }, "said", { text: "2" });
  await expect.poll(said).toEqual(["@tab-number-1", "@tab-number-2", "@tab-number-2"]);
  page.send("@x");
  await expect.poll(() => page.code).toBe(4400);
});

test("a post to an event stream needs the page's secret, its origin and the next number", async () => {
  await using page = await streamPage(site.url, cookie);
  const { credential, post, respond } = page;
  const line = JSON.stringify(join("a"));
  const [node = "", secret = ""] = credential.split(".");
  expect(await post(1, line, { Origin: "http://evil.example" })).toBe(403);
  expect(await post(1, line, { "Lanai-Line": `${node}.${secret.replace(/./g, "x")}` })).toBe(410);
  expect(await post(1, line, { "Lanai-Line": "x" })).toBe(400);
  expect(await post(1, line, { cookie: await site.visit("/sign-in?user=eve") })).toBe(403);
  expect(await post(2, line)).toBe(409);
  const refused = await respond(1, "x".repeat(300_000));
  expect([refused.status, refused.headers.get("Connection")]).toEqual([413, "close"]);
  expect(await post(1, line)).toBe(204);
  // Sent again, because the response was lost.
  expect(await post(1, line)).toBe(204);
  await expect.poll(() => page.received.match(/"t":"joined"/g)?.length).toBe(1);
  expect(await post(2, "no frame")).toBe(400);
  await expect.poll(() => page.received).toContain("event: close\ndata: 4400");
  await page.ended;
});

test("a body parser of the app may have read a post to an event stream, which may be as large as otherwise", async () => {
  await using site = await startSite(memoryPubSub(), { readsBodies: true });
  const cookie = await site.visit("/sign-in?user=ada");
  await using page = await streamPage(site.url, cookie);
  expect(await page.post(1, "x".repeat(300_000))).toBe(413);
  expect(await page.post(1, JSON.stringify(join("a")))).toBe(204);
  await expect.poll(() => page.received).toContain('"t":"joined"');
});

test("a request that is no connection says whether one would be taken", async () => {
  const status = async (headers: Record<string, string>) =>
    (await fetch(`${site.url}/live`, { method: "POST", headers: { cookie, ...headers } })).status;
  expect(await status({})).toBe(204);
  expect(await status({ Origin: site.url })).toBe(204);
  expect(await status({ Origin: "http://evil.example" })).toBe(403);
});

test("a handshake whose upgrade a proxy dropped is a 426 that names the setting, and is reported", async () => {
  using lost = reported<ChannelsEvent>("lanai:channels:upgrade-lost");
  for (const accept of ["*/*", "text/event-stream"]) {
    // Raw, since fetch sends no header of a handshake.
    const sent = request(`${site.url}/live`, {
      headers: { cookie, accept, "Sec-WebSocket-Key": "x", "Sec-WebSocket-Version": "13" },
    }).end();
    const [response] = await once(sent, "response");
    expect(response).toMatchObject({ statusCode: 426, headers: { upgrade: "websocket" } });
    const text = Buffer.concat(await response.toArray()).toString();
    expect(text).toContain("proxy_set_header Upgrade $http_upgrade");
  }
  expect(site.channels.size.listeners).toBe(0);
  expect(lost.events).toEqual([
    { level: "warn", message: expect.stringContaining("proxy_set_header Upgrade") },
  ]);
});
