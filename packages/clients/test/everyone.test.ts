import { createClients } from "@lanai/clients";
import { createPubSub } from "@lanai/pubsub";
import { createSessions } from "@lanai/session";
import { expect, test, vi } from "vitest";
import { Browser } from "./browser.ts";
import { startSite } from "./site.ts";

test("a message to everyone reaches all tabs of all processes, and is encoded once", async () => {
  const bus = createPubSub();
  const sessions = createSessions();
  await using here = await startSite({ sessions, pubsub: bus });
  await using there = await startSite({ sessions, pubsub: bus });
  const tabs = [];
  for (const site of [here, here, there]) {
    tabs.push(await (await new Browser(site).signIn("ada")).open(site));
  }
  const anonymous = new Browser(there);
  await anonymous.get("/");
  tabs.push(await anonymous.open(there));
  const toJSON = vi.fn(() => "hello");
  expect(await here.clients.send({ everyone: true }, "notice", { toJSON })).toEqual({
    here: 2,
    bus: "published",
  });
  for (const tab of tabs) expect(await tab.next("notice")).toBe("hello");
  expect(toJSON).toHaveBeenCalledOnce();
  await bus.close();
});

test("everyone stands alone, and can't be terminated", async () => {
  const clients = createClients({ sessions: createSessions() });
  const mixed = { everyone: true, user: "ada" } as const;
  await expect(clients.send(mixed, "notice")).rejects.toThrow(TypeError);
  const all = { everyone: true } as unknown as { user: string };
  await expect(clients.terminate(all)).rejects.toThrow(TypeError);
  await clients.close();
});
