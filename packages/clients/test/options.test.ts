import { type AttachOptions, createClients } from "@lanai/clients";
import { createPubSub, memoryPubSub } from "@lanai/pubsub";
import { createSessions, memoryStore, sealedStore } from "@lanai/session";
import { describe, expect, test } from "vitest";
import type { ClientsOptions } from "../src/options.ts";
import { Browser } from "./browser.ts";
import { startSite } from "./site.ts";

const sessions = createSessions({ store: memoryStore() });

describe("createClients", () => {
  test.each<[Record<string, unknown>, RegExp]>([
    [{ sessions: undefined }, /sessions must be what createSessions has made/],
    [{ sessions: {} }, /sessions must be/],
    [
      {
        sessions: createSessions({
          store: sealedStore({ context: "app", keys: ["k".repeat(32)] }),
        }),
      },
      /sessions must be sessions in a store that finds them by owner/,
    ],
    [{ bus: 1 }, /there is no option "bus": its options are sessions, pubsub/],
    [{ pubsub: {} }, /pubsub must be what createPubSub has made/],
    [{ pubsub: "redis" }, /pubsub must be/],
    [{ name: "" }, /name must be a cookie's name/],
    [{ name: "__Host-cid" }, /without __Host-/],
    [{ name: "a b" }, /name must be/],
    [{ maxAge: 0 }, /maxAge must be a number of milliseconds from 1000 to 34560000000, got 0/],
    [{ maxAge: Infinity }, /maxAge/],
    [{ secure: "yes" }, /secure must be a boolean, got string/],
    [{ keys: [] }, /keys must be an array of secrets of at least 32/],
    [{ keys: ["short"] }, /keys\[0\] must have at least 32 bytes, got 5/],
    [{ keys: "k".repeat(32) }, /keys must be/],
    [{ tokenHeader: "" }, /tokenHeader must be a token of RFC 9110/],
    [{ tokenHeader: "a b" }, /tokenHeader/],
    [{ prefix: "a.>" }, /prefix must be/],
    [{ prefix: "" }, /prefix must be/],
    [{ revalidateInterval: 99 }, /revalidateInterval must be a number of milliseconds from 100/],
    [{ staleLimit: -1 }, /staleLimit/],
    [{ presenceInterval: Number.NaN }, /presenceInterval/],
    [{ leaveGrace: "1" }, /leaveGrace/],
    [{ busTimeout: 0 }, /busTimeout/],
  ])("refuses %o", (options, message) => {
    expect(() => createClients({ sessions, ...options } as ClientsOptions)).toThrow(message);
  });

  test("never shows a key", () => {
    const secret = "sesame";
    expect(() => createClients({ sessions, keys: [secret] })).toThrow(/^((?!sesame).)*$/s);
  });

  test.each([memoryPubSub(), createPubSub()])("takes a backend, and a bus", async (pubsub) => {
    const clients = createClients({ sessions, pubsub });
    expect(await clients.send({ user: "ada" }, "x")).toEqual({ here: 0, bus: "published" });
    await clients.close();
  });
});

describe("attach", () => {
  test.each<[Record<string, unknown>, string]>([
    [{ session: true }, 'there is no option "session"'],
    [{ idle: "never" }, 'idle must be "open" or "messages"'],
    [{ connect: {} }, "connect must be a function"],
    [{ queue: { limit: 0 } }, "queue.limit must be an integer of messages from 1"],
    [{ queue: { bytes: 0 } }, "queue.bytes"],
    [{ queue: { size: 1 } }, 'there is no option "queue.size"'],
    [{ rate: { messages: 0 } }, "rate.messages must be an integer"],
    [{ rate: { overflow: "drop" } }, "rate.overflow"],
    [{ queue: { overflow: "drop" } }, "queue.overflow"],
    [{ queue: { max: 1 } }, 'there is no option "queue.max"'],
  ])("refuses %o before the 101", async (attach, message) => {
    await using site = await startSite({ attach: attach as AttachOptions });
    const browser = await new Browser(site).signIn("ada");
    expect(await browser.tab().refused).toMatchObject({ status: 500 });
    expect(String(site.errors[0])).toContain(message);
  });

  test("says what is missing where there is neither transport", async () => {
    await using site = await startSite({
      route: async (ctx) => {
        delete (ctx as { sse?: unknown }).sse;
        await site.clients.attach(ctx);
      },
    });
    const browser = await new Browser(site).signIn("ada");
    expect((await browser.get("/nothing")).status).toBe(500);
    expect(site.errors[0]).toMatchObject({ code: "ERR_CLIENTS_NO_TRANSPORT" });
  });

  test("of a listener that terminate is given is told to use disconnect", async () => {
    await using site = await startSite();
    const { clients } = site;
    await expect(clients.terminate({ listener: "x" } as never)).rejects.toThrow(/disconnect/);
    await expect(clients.disconnect({ user: "x" } as never)).rejects.toThrow(
      /takes \{ listener \}/,
    );
    expect(() => clients.on("gone" as never, () => {})).toThrow(
      /join, leave and empty, got "gone"/,
    );
  });
});
