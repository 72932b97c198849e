import { readFileSync } from "node:fs";
import Koa from "koa";

const read = (name: string): string =>
  readFileSync(new URL(`page/${name}`, import.meta.url), "utf8");

/** The page and its scripts, which talk to the API at another origin. */
export function page(api: string): Koa {
  const files = new Map([
    ["/", { type: "html", text: read("index.html").replace("{{api}}", api) }],
    ["/app.js", { type: "js", text: read("app.js") }],
    ["/token-fetch.js", { type: "js", text: read("token-fetch.js") }],
  ]);
  const app = new Koa();
  app.use((ctx) => {
    const file = files.get(ctx.path);
    if (!file) return;
    // The token is in reach of scripts: only ours run, and they talk to nobody but the API.
    ctx.set("Content-Security-Policy", `default-src 'self'; connect-src ${api}`);
    ctx.type = file.type;
    ctx.body = file.text;
  });
  return app;
}
