import { createSessions, headerTracker, memoryStore } from "@lanai/session";
import Koa from "koa";
import { expect, test } from "vitest";
import { startNginx } from "../../../scripts/services/nginx.ts";
import { serve } from "./http.ts";

/** By what an app may allow a cache to keep a response. */
const ALLOWED: Readonly<Record<string, string>> = {
  "Cache-Control": "public, max-age=600",
  Expires: new Date(Date.now() + 600_000).toUTCString(),
  "X-Accel-Expires": "600",
};

test("S20: a caching nginx hands no visitor's Session-ID to the next", async () => {
  const sessions = createSessions({ store: memoryStore(), tracker: headerTracker() });
  const app = new Koa();
  app.use(sessions.middleware());
  app.use((ctx) => {
    const [, kind = "", header = ""] = ctx.path.split("/");
    ctx.set(header || "Cache-Control", ALLOWED[header || "Cache-Control"] ?? "");
    if (kind === "private") ctx.session.set("visits", 1);
    ctx.body = "page";
  });
  await using served = await serve(app);
  await using nginx = await startNginx([Number(new URL(served.url).port)], { caches: true });
  for (const header of Object.keys(ALLOWED)) {
    const visit = (kind: string) => fetch(`${nginx.url}/${kind}/${header}`);
    // The cache works: what sends no id is kept.
    await visit("public");
    expect((await visit("public")).headers.get("X-Cache"), header).toBe("HIT");
    const ids = new Set<string | null>();
    for (let visitor = 0; visitor < 3; visitor++) {
      const response = await visit("private");
      ids.add(response.headers.get("Session-ID"));
      expect(response.headers.get("X-Cache"), header).not.toBe("HIT");
    }
    expect(ids.size, header).toBe(3);
    expect(ids).not.toContain(null);
  }
});
