import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { expect, test } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "./browser.ts";
import { startSite } from "./site.ts";

test("a tab whose handshake was under way while its browser signed in comes back with the session", async () => {
  const asked = Promise.withResolvers<void>();
  const handshake = Promise.withResolvers<void>();
  await using site = await startSite({
    attach: {
      anonymous: true,
      kind: "own",
      connect: async () => {
        asked.resolve();
        await handshake.promise;
        return { end() {} };
      },
    },
    live: async (it, ctx) => {
      ctx.body = await it.ended;
    },
  });
  const browser = new Browser(site);
  await browser.get("/");
  const tab = browser.get("/live");
  await asked.promise;
  const signedIn = new Promise<void>((resolve) => {
    site.server.once("request", (_request: IncomingMessage, response: ServerResponse) => {
      void once(response, "close").then(() => resolve());
    });
  });
  await browser.get("/sign-in?user=ada");
  await signedIn;
  // The tabs without a session have been asked to come back; this one isn't among them yet.
  handshake.resolve();
  await until(() => expect(site.listeners).toHaveLength(1));
  expect(site.listeners[0]?.session).toBeUndefined();
  expect(await (await tab).text()).toBe("renewed");
});
