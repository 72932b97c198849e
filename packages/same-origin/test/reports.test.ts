import { type SameOriginEvent, sameOrigin } from "@lanai/same-origin";
import Koa from "koa";
import { expect, test } from "vitest";
import { reported } from "../../../scripts/testing/reported.ts";
import { serve } from "../../session/test/http.ts";

// One test: each reason is reported once a minute in a process.
test("a refusal is reported once for each reason, with what came and what was expected", async () => {
  using refused = reported<SameOriginEvent>("lanai:same-origin:refused");
  const app = new Koa();
  app.silent = true;
  app.use(sameOrigin());
  await using site = await serve(app);
  const post = (headers: Record<string, string>) => fetch(site.url, { method: "POST", headers });
  const secret = "sid=secret";
  for (let round = 0; round < 2; round++) {
    await post({ Origin: site.url.replace("http", "https"), Cookie: secret });
    await post({ "Sec-Fetch-Site": "cross-site", Origin: `https://${"x".repeat(999)}` });
    await post({ Cookie: secret });
  }
  expect(refused.events).toEqual([
    {
      level: "warn",
      reason: "origin",
      message: expect.stringContaining("X-Forwarded-Proto"),
      got: site.url.replace("http", "https"),
      expected: site.url,
    },
    {
      level: "warn",
      reason: "site",
      message: expect.stringContaining("the option origins"),
      site: "cross-site",
      got: `https://${"x".repeat(248)}`,
      expected: site.url,
    },
    {
      level: "warn",
      reason: "unknown",
      message: expect.stringContaining("neither Sec-Fetch-Site nor Origin"),
      expected: site.url,
    },
  ]);
  expect(JSON.stringify(refused.events)).not.toContain("secret");
});
