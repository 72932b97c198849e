import type { WebSocketEvent } from "@lanai/websocket";
import { expect, test } from "vitest";
import { PROXIES } from "../../../scripts/testing/proxies.ts";
import { reported } from "../../../scripts/testing/reported.ts";
import { appOf, siteOf } from "./site.ts";

// One test: each cause is reported once a minute in a process.
test("a refused origin is reported once for each cause, with what was lost", async () => {
  using refused = reported<WebSocketEvent>("lanai:websocket:origin-refused");
  const app = appOf(() => {});
  app.proxy = true;
  await using site = await siteOf(app);
  for (const { request, origin } of PROXIES.filter(({ loses }) => loses)) {
    await site.refusal("/", { headers: { ...request, Origin: origin } });
  }
  const SITE = "https://app.example";
  expect(refused.events.map(({ got, expected }) => [got, expected])).toEqual([
    [SITE, ["http://app.example"]],
    ["https://app.example:8443", [SITE]],
    ["https://app.example:8443", ["http://app.example"]],
    [SITE, ["https://backend:3000"]],
  ]);
  for (const [n, setting] of [
    "X-Forwarded-Proto $scheme",
    "proxy_set_header Host $http_host",
    "X-Forwarded-Proto and the Host header",
    "the option origins",
  ].entries()) {
    expect(refused.events[n]).toMatchObject({
      level: "warn",
      message: expect.stringContaining(setting),
    });
  }

  for (const Origin of ["null", "null"]) await site.refusal("/", { headers: { Origin } });
  expect(refused.events).toHaveLength(5);
  expect(refused.events[4]).toMatchObject({ got: "null" });
});
