import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { SseStream } from "@lanai/sse";
import { expect, test } from "vitest";
import { programPath } from "../../../scripts/servers.js";
import { until } from "../../../scripts/testing/until.ts";
import { Browser } from "./browser.ts";
import { startSite } from "./site.ts";

test("an iterator behind a plain HTTP answer is returned within a second of the death of its curl", async () => {
  const over = Promise.withResolvers<unknown>();
  const site = await startSite({
    // As GraphQL over server-sent events does it: one request, one operation.
    route: async (ctx) => {
      let stream: SseStream | undefined;
      const listener = await site.clients.attach(ctx, {
        kind: "graphql-sse",
        async connect() {
          stream = await ctx.sse();
          return { end: () => stream?.end() };
        },
      });
      site.listeners.push(listener);
      const results = (async function* () {
        try {
          for await (const news of listener.events("news", { first: 0 })) yield { data: { news } };
        } finally {
          over.resolve(listener.endReason);
        }
      })();
      void (async () => {
        for await (const data of results) stream?.send({ event: "next", data });
      })();
    },
  });
  await using _ = site;
  const browser = await new Browser(site).signIn("ada");
  const curl = spawn(
    programPath("curl"),
    ["--silent", "--no-buffer", "--noproxy", "*", "-b", browser.cookie, `${site.url}/graphql`],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  try {
    const lines: string[] = [];
    createInterface(curl.stdout).on("line", (line) => lines.push(line));
    await until(() => expect(lines).toContain('data: {"data":{"news":0}}'));
    await site.clients.send({ user: "ada" }, "news", 1);
    await until(() => expect(lines).toContain('data: {"data":{"news":1}}'));
    curl.kill("SIGKILL");
    await once(curl, "exit");
    expect(await over.promise).toBe("left");
    expect(site.clients.size.listeners).toBe(0);
  } finally {
    curl.kill("SIGKILL");
  }
});
