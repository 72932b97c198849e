import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createSessions, headerTracker, memoryStore } from "@lanai/session";
import Koa from "koa";
import { expect, test } from "vitest";
import {
  onFreePort,
  ServerProcess,
  temporaryFolder,
} from "../../../scripts/services/server-process.ts";
import { serve } from "./http.ts";

/** nginx with a cache for all that the app allows to be cached, in front of `upstream`. */
const startNginx = (upstream: string) => onFreePort((port) => startAt(port, upstream));

async function startAt(port: number, upstream: string) {
  const folder = temporaryFolder("nginx");
  const file = join(folder.path, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${folder.path}/${name};`)
    .join(" ");
  writeFileSync(
    file,
    // Started by root it would give its workers to a user who can't write here.
    `${process.getuid?.() === 0 ? "user root;" : ""} daemon off; worker_processes 1;
     pid ${folder.path}/pid; error_log stderr notice;
     events {}
     http {
       access_log off; ${temporary}
       proxy_cache_path ${folder.path}/cache keys_zone=pages:1m;
       server {
         listen 127.0.0.1:${port};
         location / {
           proxy_pass ${upstream};
           proxy_cache pages;
           add_header X-Cache $upstream_cache_status always;
         }
       }
     }`,
  );
  const server = new ServerProcess({
    ...{ program: "nginx", folder: folder.path, ready: /start worker process \d+/ },
    args: ["-p", folder.path, "-c", file, "-e", "stderr"],
  });
  const stop = async (): Promise<void> => {
    await server.kill();
    folder.remove();
  };
  try {
    await server.start();
  } catch (error) {
    folder.remove();
    throw error;
  }
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: stop };
}

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
  await using nginx = await startNginx(served.url);
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
