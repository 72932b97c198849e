import { memoryStore } from "@lanai/session";
import { describe, expect, test } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "./browser.ts";
import { network } from "./net.ts";
import { startSite } from "./site.ts";

describe("a message to", () => {
  async function people() {
    const line = network();
    const store = memoryStore();
    const here = await startSite({ store, pubsub: line() });
    const there = await startSite({ store, pubsub: line() });
    const browser = await new Browser(here).signIn("ada");
    const [first, second] = [await browser.open(here), await browser.open(here)];
    const far = await browser.at(there).open(there);
    const phone = await (await new Browser(there).signIn("ada")).open(there);
    const grace = await (await new Browser(there).signIn("grace")).open(there);
    return {
      ...{ here, there, tabs: { first, second, far, phone, grace } },
      async [Symbol.asyncDispose]() {
        await here[Symbol.asyncDispose]();
        await there[Symbol.asyncDispose]();
      },
    };
  }

  type Name = keyof Awaited<ReturnType<typeof people>>["tabs"];

  test.each<[string, Name[]]>([
    ["listener", ["second"]],
    ["far listener", ["far"]],
    ["session", ["first", "second", "far"]],
    ["client", ["first", "second", "far"]],
    ["user", ["first", "second", "far", "phone"]],
  ])("a %s reaches %o and nobody else", async (target, expected) => {
    await using all = await people();
    const { here, tabs } = all;
    const { listener } = tabs.second;
    const targets = {
      listener: { listener: listener.id },
      "far listener": { listener: tabs.far.listener.id },
      session: { session: listener.session ?? "" },
      client: { client: listener.client ?? "" },
      user: { user: "ada" },
    };
    const data = { text: "näheres 🌺", list: [1, null] };
    const at = targets[target as keyof typeof targets];
    expect(await here.clients.send(at, "notice", data)).toMatchObject({
      here: expected.filter((name) => name === "first" || name === "second").length,
    });
    for (const name of expected) expect(await tabs[name].next("notice")).toEqual(data);
    // What is sent afterwards comes afterwards: nobody else got the first.
    for (const user of ["ada", "grace"]) await here.clients.send({ user }, "end");
    for (const tab of Object.values(tabs)) await tab.next("end");
    for (const tab of Object.values(tabs)) expect(tab.all("notice")).toEqual([]);
  });

  test("all but one leaves that one out, also elsewhere", async () => {
    await using all = await people();
    const { here, tabs } = all;
    await here.clients.send({ user: "ada" }, "notice", 1, { except: tabs.far.listener.id });
    await here.clients.send({ user: "ada" }, "end");
    for (const name of ["first", "second", "phone", "far"] as const) {
      await tabs[name].next("end");
      expect(tabs[name].all("notice")).toEqual(name === "far" ? [] : [1]);
    }
  });

  test("nobody is no error, and says so", async () => {
    await using site = await startSite();
    for (const target of [
      { listener: "x".repeat(27) },
      { listener: "a.b > *" },
      { session: "none" },
      { client: "none" },
      { user: "*.> \u0000 nobody" },
    ]) {
      expect(await site.clients.send(target, "notice")).toEqual({ here: 0, bus: "none" });
    }
  });
});

test("messages of one process come in their order", async () => {
  const line = network();
  const store = memoryStore();
  await using here = await startSite({ store, pubsub: line() });
  await using there = await startSite({ store, pubsub: line() });
  const tab = await (await new Browser(there).signIn("ada")).open(there);
  const sends = Array.from({ length: 200 }, (_, i) => here.clients.send({ user: "ada" }, "n", i));
  await Promise.all(sends);
  await until(() => expect(tab.all("n")).toHaveLength(200));
  expect(tab.all("n")).toEqual(Array.from({ length: 200 }, (_, i) => i));
});

test("a message that follows an attach is not missed, wherever it comes from", async () => {
  const line = network();
  const store = memoryStore();
  await using here = await startSite({ store, pubsub: line() });
  await using there = await startSite({
    store,
    pubsub: line(),
    // As soon as the listener is live, another process sends.
    live: () => here.clients.send({ user: "ada" }, "welcome").then(() => {}),
  });
  const tab = await (await new Browser(there).signIn("ada")).open(there);
  expect(await tab.next("welcome")).toBeNull();
});

test.each([
  [
    "a cycle",
    (() => {
      const it: { self?: unknown } = {};
      it.self = it;
      return it;
    })(),
  ],
  ["a bigint", 1n],
  ["a function", () => {}],
])("%s is refused where it was sent", async (_, data) => {
  await using site = await startSite();
  await expect(site.clients.send({ user: "ada" }, "notice", data)).rejects.toMatchObject({
    code: "ERR_CLIENTS_ENCODE",
  });
});

test.each(["", "two words", "a\nb", "a\r", "x".repeat(129), 7])(
  "an event named %j is refused",
  async (event) => {
    await using site = await startSite();
    await expect(site.clients.send({ user: "ada" }, event as string)).rejects.toThrow(TypeError);
  },
);

test.each([{}, { user: "" }, { user: 7 }, { who: "ada" }, { user: "a", client: "b" }, null])(
  "a target of %o is refused",
  async (target) => {
    await using site = await startSite();
    await expect(site.clients.send(target as never, "notice")).rejects.toThrow(
      /a target is one of/,
    );
    expect(() => site.clients.presence(target as never)).toThrow(/a target is one of/);
  },
);

test("what other programs publish on its subjects is left alone", async () => {
  const line = network()();
  await using site = await startSite({ pubsub: line });
  const tab = await (await new Browser(site).signIn("ada")).open(site);
  const note = { v: 2, node: "x", ended: [tab.listener.session] };
  for (const text of ["", "{", "null", "7", '{"v":1}', JSON.stringify(note)]) {
    for (const name of ["control", "presence"]) await line.publish(`lanai.clients.${name}`, text);
  }
  const strange = { v: 1, node: "x", seq: "no", ended: "no", joined: 7, left: {}, word: "change" };
  for (const name of ["control", "presence"]) {
    await line.publish(`lanai.clients.${name}`, JSON.stringify(strange));
  }
  await site.clients.send({ user: "ada" }, "still");
  await tab.next("still");
  expect(tab.listener.endReason).toBeUndefined();
});

test("nothing on the bus is a secret, and no name of a channel shows whom it is for", async () => {
  const line = network()();
  const seen: string[] = [];
  const publish = line.publish;
  line.publish = (subject, data) => {
    seen.push(`${subject} ${data}`);
    return publish(subject, data);
  };
  const subscribe = line.subscribe;
  line.subscribe = (subject, handler, options) => {
    seen.push(subject);
    return subscribe(subject, handler, options);
  };
  await using site = await startSite({ pubsub: line });
  const browser = await new Browser(site).signIn("ada-lovelace");
  const tab = await browser.open(site);
  await site.clients.send({ user: "ada-lovelace" }, "notice", { text: "hi" });
  await site.clients.terminate({ user: "ada-lovelace" });
  await tab.closed;
  const all = seen.join("\n");
  expect(all).toContain("notice");
  for (const secret of browser.cookies.values()) expect(all).not.toContain(secret);
  for (const line of seen) expect(line.split(" ")[0]).not.toMatch(/ada|lovelace/);
});
