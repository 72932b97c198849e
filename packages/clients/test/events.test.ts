import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { ClientsEvent } from "@lanai/clients";
import { expect, onTestFinished, test } from "vitest";
import { Browser } from "./browser.ts";
import { startSite } from "./site.ts";

test("an event tells of each listener that comes and goes, and of nothing secret", async () => {
  const events: [string, ClientsEvent][] = [];
  for (const name of ["attached", "ended"]) {
    const listen = (event: unknown) => events.push([name, event as ClientsEvent]);
    subscribe(`lanai:clients:${name}`, listen);
    onTestFinished(() => void unsubscribe(`lanai:clients:${name}`, listen));
  }
  await using site = await startSite();
  const browser = await new Browser(site).signIn("ada");
  const { listener, closed } = await browser.open(site);
  await site.clients.terminate({ user: "ada" });
  await closed;
  const who = { listener: listener.id, client: listener.client, session: listener.session };
  expect(events).toEqual([
    ["attached", { level: "info", ...who }],
    ["ended", { level: "info", ...who, reason: "terminated" }],
  ]);
  for (const secret of browser.cookies.values()) {
    expect(JSON.stringify(events)).not.toContain(secret);
  }
});
